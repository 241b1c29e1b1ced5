/** Parameters: page sizes, starting points, mounts, tags by the thousand. */
import { type Allowed, type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import type { Answer } from '../wire.ts'
import { ociManifest, type World } from '../world.ts'

export const queries: Category = {
  name: 'queries',
  weight: 12,
  make: (random, world) => random.pick([pages, pages, mounts, tags, odd])(random, world),
}

const sizes = [
  '',
  '0',
  '1',
  '5',
  '1000',
  '1001',
  '99999999',
  '9007199254740993',
  '18446744073709551616',
  '9'.repeat(400),
  '-1',
  '-0',
  '+5',
  '1.5',
  '1e9',
  '0x10',
  'NaN',
  'Infinity',
  'null',
  'true',
  ' 5',
  '5 ',
  '٥',
  '５',
  '5;',
  "5' or 1=1",
  '[]',
  '%00',
  '5%00',
  'abc',
  '00005',
]

function pages(random: Random, world: World): Case {
  const n = random.pick(sizes)
  const last = random.pick([
    '',
    'a',
    'zzz',
    '%00',
    '%ff',
    '%f0%9f%90%b3',
    "'%3b--",
    '%25',
    '..%2f..',
    'x'.repeat(5000),
    '__proto__',
  ])
  const query = random.pick([
    `n=${encoded(n)}`,
    `n=${encoded(n)}&last=${last}`,
    `last=${last}&n=${encoded(n)}&n=5`,
    `n=${encoded(n)}&orderby=time%20desc`,
  ])
  const isNumber = /^\d+$/.test(query.startsWith('n') ? n : random.pick([n]))
  const allowed: readonly Allowed[] = isNumber ? ['200'] : ['400 PAGINATION_NUMBER_INVALID']
  const { repository, manifest } = world.a
  const [target, field, token] = random.pick([
    ['/v2/_catalog', 'repositories', world.tokenAdmin],
    [`/v2/${repository}/tags/list`, 'tags', world.tokenA],
    [`/v2/${repository}/referrers/${manifest}`, 'manifests', world.tokenA],
  ] as const)
  const check = ({ status, body }: Answer) => {
    if (status !== 200) return undefined
    const entries = (JSON.parse(body.toString('utf8')) as Record<string, unknown[]>)[field]
    if (!Array.isArray(entries)) return `no ${field}`
    return entries.length <= Math.min(Number(n), 1000) ? undefined : `${entries.length} entries for n=${n}`
  }
  const headers = [['Authorization', `Bearer ${token}`]] as const
  return caseOf(world, `?${query.slice(0, 60)} at ${target}`, { target: `${target}?${query}`, headers }, allowed, {
    check,
  })
}

const encoded = (text: string) => (text.includes('%') ? text : encodeURIComponent(text))

function mounts(random: Random, world: World): Case {
  const { a, b } = world
  const method = 'POST'
  const target = `/v2/${a.repository}/blobs/uploads/`
  const digest = random.pick([
    b.blob,
    b.config,
    b.manifest,
    `sha256:${'0'.repeat(64)}`,
    'sha256:x',
    '',
    '../../x',
    '%00',
  ])
  const from = random.pick([
    '',
    `&from=${b.repository}`,
    '&from=',
    '&from=..%2f..',
    '&from=nowhere',
    `&from=${b.repository}&from=${a.repository}`,
    '&from=%00',
    `&from=${encodeURIComponent('*')}`,
  ])
  return random.pick<() => Case>([
    // Whatever is wrong with a mount, and whether the blob exists or not: an upload session, never a refusal, never the blob.
    () =>
      caseOf(world, `mount ${digest.slice(0, 20)}${from}`, { method, target: `${target}?mount=${digest}${from}` }, [
        '202',
      ]),
    () =>
      caseOf(world, 'mount of an own blob', { method, target: `${target}?mount=${a.blob}&from=${a.repository}` }, [
        '201',
      ]),
    () =>
      caseOf(
        world,
        'mount and digest',
        { method, target: `${target}?mount=${b.blob}&digest=${b.blob}&from=${b.repository}`, body: 'x' },
        ['202'],
      ),
    () =>
      caseOf(world, 'digest twice', { method, target: `${target}?digest=${b.blob}&digest=${a.blob}`, body: 'x' }, [
        '400 DIGEST_INVALID',
      ]),
    () =>
      caseOf(
        world,
        'a digest algorithm',
        { method, target: `${target}?digest-algorithm=${random.pick(['md5', '', 'SHA256', '__proto__', 'sha1'])}` },
        ['400 DIGEST_INVALID'],
      ),
  ])()
}

function tags(random: Random, world: World): Case {
  const { repository, manifest, manifestBytes } = world.a
  const count = random.pick([2, 10, 500, 1000])
  const query = Array.from({ length: count }, (_, index) => `tag=m${index}`).join('&')
  const headers = [['Content-Type', ociManifest]] as const
  const target = `/v2/${repository}/manifests/${manifest}?${query}`
  return caseOf(world, `${count} tag parameters`, { method: 'PUT', target, headers, body: manifestBytes }, [
    '201',
    '400 TAG_INVALID',
    '414',
  ])
}

function odd(random: Random, world: World): Case {
  const { repository, manifest, blob } = world.a
  const noise = random.pick([
    '?',
    '??',
    '&&&&',
    'a=b=c',
    '=',
    '%',
    '%zz',
    '__proto__=1',
    'x[]=1&x[a]=2',
    'constructor[prototype]=1',
    'a&'.repeat(3000),
    `x=${'y'.repeat(8000)}`,
    '%00=%00',
    'api-version=%ff',
    ';n=1',
  ])
  return random.pick<() => Case>([
    () => caseOf(world, `noise ${noise.slice(0, 30)}`, { target: `/v2/${repository}/manifests/v1?${noise}` }, ['200']),
    () =>
      caseOf(
        world,
        `noise ${noise.slice(0, 30)} at a blob`,
        { method: 'HEAD', target: `/v2/${repository}/blobs/${blob}?${noise}` },
        ['200'],
      ),
    () =>
      caseOf(
        world,
        `artifactType ${noise.slice(0, 30)}`,
        { target: `/v2/${repository}/referrers/${manifest}?artifactType=${encodeURIComponent(noise)}` },
        ['200'],
      ),
    () => caseOf(world, `_state ${noise.slice(0, 30)}`, { target: `${world.takeSession()}?_state=${noise}` }, ['204']),
  ])()
}
