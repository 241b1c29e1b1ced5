/** Paths that climb, double, hide or name another host. */
import { type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import type { World } from '../world.ts'

function anyTarget(random: Random, { a, b, host }: World): string {
  const up = random.pick([
    '..',
    '%2e%2e',
    '.%2e',
    '%2e.',
    '..;',
    '...',
    '..%00',
    '..%5c',
    '..\\',
    '%252e%252e',
    '%c0%ae%c0%ae',
  ])
  const slash = random.pick(['/', '/', '//', '%2f', '%2F', '\\', '%5c', '/./', '/%2e/'])
  const climb = `${up}${slash}`.repeat(random.between(1, 12))
  const file = random.pick([
    'etc/passwd',
    'secret.key',
    'berth.db',
    'outside/canary.txt',
    'canary.txt',
    'data/bootstrap.json',
    'tls/ca-key.pem',
    'proc/self/environ',
  ])
  return random.pick<() => string>([
    () => `/v2/${climb}${file}`,
    () => `/v2/${a.repository}/blobs/${climb}${file}`,
    () => `/v2/${a.repository}/blobs/uploads/${climb}${file}`,
    () => `/v2/${a.repository}/manifests/${climb}${file}`,
    () => `/v2/${a.repository}/${climb}${b.repository}/blobs/${b.blob}`,
    () => `/v2/${a.repository}${slash}${up}${slash}${up}${slash}${b.repository}/manifests/${b.tag}`,
    () => `/${climb}${file}`,
    () => `/healthz/${climb}${file}`,
    () => `/acr/v1/${climb}${file}`,
    () => `/oauth2/${climb}${file}`,
    () => `//v2/${b.repository}/manifests/${b.tag}`,
    () => `/v2//${b.repository}/manifests/${b.tag}`,
    () => `/v2/${b.repository}//manifests/${b.tag}`,
    () => `/./v2/${b.repository}/manifests/${b.tag}`,
    () => `/V2/${b.repository}/manifests/${b.tag}`,
    () => `/v2;x=1/${b.repository}/manifests/${b.tag}`,
    () => `/v2/${b.repository}/manifests/${b.tag}/`,
    () => `/v2/${b.repository}/manifests/${b.tag}%00`,
    () => `/v2/${b.repository}/manifests/${b.tag}#x`,
    () => `/v2/${a.repository}/blobs/${a.blob}/manifests/../../../${b.repository}/manifests/v1`,
    () => `http://${host}/v2/${b.repository}/manifests/${b.tag}`,
    () => `http://other.example/v2/${b.repository}/manifests/${b.tag}`,
    () => `https://x@${host}/v2/${b.repository}/manifests/${b.tag}`,
    () => `file:///${file}`,
    () => `http:///v2/${b.repository}/manifests/v1`,
    () => `http://${host}`,
    () => 'v2/',
    () => '*',
    () => '/',
    () => '/?/v2/',
    () => `/${'a'.repeat(random.pick([3_000, 14_000]))}`,
    () => `/${'x/'.repeat(random.pick([1_000, 7_000]))}`,
    () => `/v2/${'%2e%2e%2f'.repeat(800)}${file}`,
    () => `/${random.text(random.between(1, 60), '/.%2efv\\;?#:@&=+~')}`,
  ])()
}

export const paths: Category = {
  name: 'paths',
  weight: 9,
  make(random, world): Case {
    const target = anyTarget(random, world)
    return caseOf(world, `path ${target.slice(0, 120)}`, { target }, ['400', '401 UNAUTHORIZED', '404'])
  },
}
