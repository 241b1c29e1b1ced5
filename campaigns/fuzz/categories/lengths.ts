/** Bodies that are not as long as they say, and framing that says nothing or two things. */
import { type Allowed, bytesOf, type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import { ociManifest, type World } from '../world.ts'

/** What Node's parser refuses before a handler sees it. */
const malformed: readonly Allowed[] = ['400 UNSUPPORTED']

export const lengths: Category = {
  name: 'lengths',
  weight: 9,
  make: (random, world) => random.pick([badLength, badChunks, lies, twoFramings, tooLarge, absent])(random, world),
}

const put = (world: World) => ({ method: 'PUT', target: `/v2/${world.a.repository}/manifests/${world.a.tag}` })
const type = ['Content-Type', ociManifest] as const

function badLength(random: Random, world: World): Case {
  const value = random.pick([
    '-1',
    '+5',
    '0x10',
    '1e3',
    '5 5',
    '5,5',
    '5, 6',
    'abc',
    '5.0',
    '99999999999999999999',
    '18446744073709551617',
    '٥',
    '5;',
    '"5"',
    '5\x0b',
  ])
  const headers = [type, ['Content-Length', value]] as const
  const body = '{"x":1}'
  return caseOf(world, `Content-Length ${JSON.stringify(value)}`, { ...put(world), headers, body }, malformed, {
    untilClosed: true,
  })
}

function badChunks(random: Random, world: World): Case {
  const body = random.pick([
    'zz\r\n',
    '-1\r\nx\r\n',
    'ffffffffffffffffff\r\nx',
    '5\r\nabcdefgh\r\n0\r\n\r\n',
    '5 5\r\nabcde\r\n',
    ' 5\r\nabcde\r\n',
    '0x5\r\nabcde\r\n',
    '5\nabcde\n0\n\n',
    '5\r\nabcde0\r\n\r\n',
    '\r\n5\r\nabcde\r\n',
    '5;\x00=1\r\nabcde\r\n',
    'G\r\n',
  ])
  const headers = [type, ['Transfer-Encoding', 'chunked']] as const
  const parts = { ...random.pick([put(world), { method: 'PATCH', target: world.takeSession() }]), headers, body }
  return caseOf(world, `chunks ${JSON.stringify(body)}`, parts, malformed, { untilClosed: true })
}

function lies(random: Random, world: World): Case {
  const body = random.bytes(random.between(0, 3000))
  const more = body.length + random.between(1, 1_000_000)
  const hangUpMs = random.between(0, 60)
  const headers = [type, ['Content-Length', String(more)]] as const
  return random.pick<() => Case>([
    () => caseOf(world, 'a manifest that ends early', { ...put(world), headers, body }, ['400'], { hangUpMs }),
    () =>
      caseOf(
        world,
        'a chunk that ends early',
        { method: 'PATCH', target: world.takeSession(), headers, body },
        ['400'],
        { hangUpMs },
      ),
    () =>
      caseOf(
        world,
        'a chunk of 8 PiB',
        { method: 'PATCH', target: world.takeSession(), headers: [['Content-Length', '9007199254740991']], body },
        ['400'],
        { hangUpMs },
      ),
    () =>
      caseOf(
        world,
        'an end without its last chunk',
        { method: 'PUT', target: `${world.takeSession()}?digest=${world.a.blob}`, headers, body },
        ['400'],
        { hangUpMs },
      ),
    // What is left over is the start of another request, which has no business in the first one's answer.
    () =>
      caseOf(
        world,
        'a manifest cut short',
        { ...put(world), headers: [type, ['Content-Length', '5']], body: '{"schemaVersion":2}' },
        ['400 MANIFEST_INVALID'],
      ),
  ])()
}

function twoFramings(random: Random, world: World): Case {
  const smuggled = `GET /v2/${world.b.repository}/manifests/v1 HTTP/1.1\r\nHost: ${world.host}\r\n\r\n`
  const chunks = `0\r\n\r\n${smuggled}`
  const length = String(random.pick([0, 4, 5, chunks.length]))
  const encoding = random.pick([
    'chunked',
    'Chunked',
    'chunked ',
    'xchunked',
    ' chunked',
    'chunked, identity',
    'identity, chunked',
    'chunked,chunked',
    'x, chunked',
    '\tchunked',
    'chunk\u00e9d',
  ])
  const framing = random.pick([
    [
      ['Content-Length', length],
      ['Transfer-Encoding', encoding],
    ],
    [
      ['Transfer-Encoding', encoding],
      ['Content-Length', length],
    ],
    [
      ['Content-Length', length],
      ['Content-Length', String(Number(length) + 1)],
    ],
    [
      ['Transfer-Encoding', 'chunked'],
      ['Transfer-Encoding', random.pick(['identity', 'x'])],
    ],
    [
      ['Transfer-Encoding ', 'chunked'],
      ['Content-Length', length],
    ],
    [
      ['Content-Length', length],
      ['X: y\r\n Transfer-Encoding', 'chunked'],
    ],
  ] as const)
  const send = [bytesOf(world, { ...put(world), headers: [type, ...framing], body: chunks })]
  const title = `framing ${JSON.stringify(framing)}`
  return { title, send, method: 'PUT', allowed: ['400'], untilClosed: true }
}

function tooLarge(random: Random, world: World): Case {
  const bytes = 4 * 1024 * 1024 + random.between(1, 100_000)
  const headers = [type, ['Content-Length', String(bytes)]] as const
  if (random.chance(0.9)) {
    return caseOf(world, 'a manifest that says it is too large', { ...put(world), headers }, ['400 MANIFEST_INVALID'])
  }
  const chunk = Buffer.concat([
    Buffer.from(`${bytes.toString(16)}\r\n`),
    Buffer.alloc(bytes, 0x20),
    Buffer.from('\r\n0\r\n\r\n'),
  ])
  const chunked = [type, ['Transfer-Encoding', 'chunked']] as const
  const send = [bytesOf(world, { ...put(world), headers: chunked }), chunk]
  return { title: 'a manifest that is too large', send, method: 'PUT', allowed: ['400 MANIFEST_INVALID'] }
}

function absent(random: Random, world: World): Case {
  return random.pick<() => Case>([
    () => caseOf(world, 'a manifest without a body', { ...put(world), headers: [type] }, ['400 MANIFEST_INVALID']),
    () =>
      caseOf(world, 'a manifest of no bytes', { ...put(world), headers: [type], body: '' }, ['400 MANIFEST_INVALID']),
    () => caseOf(world, 'a chunk without a body', { method: 'PATCH', target: world.takeSession() }, ['202']),
    () => caseOf(world, 'a chunk of no bytes', { method: 'PATCH', target: world.takeSession(), body: '' }, ['202']),
    () =>
      caseOf(world, 'an end without a digest', { method: 'PUT', target: world.takeSession(), body: 'x' }, [
        '400 DIGEST_INVALID',
      ]),
    () =>
      caseOf(world, 'a download with a body', { target: '/v2/', body: random.bytes(random.between(1, 5000)) }, ['200']),
  ])()
}
