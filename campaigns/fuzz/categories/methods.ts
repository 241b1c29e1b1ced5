/** Methods that an endpoint does not have, or that nobody has. */
import { type Allowed, type Case, type Category, caseOf } from '../case.ts'
import { type Answer, headerOf } from '../wire.ts'

/** Known to Node's parser. */
const known = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'SEARCH',
  'PURGE',
  'LINK',
  'UNLINK',
  'REPORT',
  'MERGE',
  'M-SEARCH',
  'NOTIFY',
  'SUBSCRIBE',
  'BIND',
  'ACL',
  'QUERY',
]
const unknown = [
  'get',
  'Get',
  'FOO',
  'GETS',
  'G',
  'GE T',
  '',
  'DEBUG',
  '\u00e9',
  'GET\0',
  '<script>',
  'PUT\tX',
  'A'.repeat(1000),
]

export const methods: Category = {
  name: 'methods',
  weight: 6,
  make(random, world): Case {
    const { repository, manifest, blob } = world.a
    const endpoints: readonly (readonly [string, readonly string[]])[] = [
      ['/v2/', ['GET', 'HEAD']],
      ['/v2/_catalog', ['GET']],
      [`/v2/${repository}/tags/list`, ['GET']],
      [`/v2/${repository}/referrers/${manifest}`, ['GET']],
      [`/v2/${repository}/manifests/${manifest}`, ['GET', 'HEAD', 'PUT', 'DELETE']],
      [`/v2/${repository}/blobs/${blob}`, ['GET', 'HEAD', 'DELETE']],
      [`/v2/${repository}/blobs/uploads/`, ['POST']],
      ['/oauth2/token', ['GET', 'POST']],
      ['/healthz', ['GET', 'HEAD']],
    ]
    const [target, offered] = random.pick(endpoints)
    if (random.chance(0.15)) {
      const method = random.pick(unknown)
      return caseOf(world, `method ${JSON.stringify(method.slice(0, 20))}`, { method, target }, ['400', 'closed'], {
        hangUpMs: 2_000,
      })
    }
    if (random.chance(0.1))
      return caseOf(world, 'CONNECT', { method: 'CONNECT', target: world.host }, ['400', '404', '405', 'closed'])
    const method = random.pick(known)
    const nowhere = random.chance(0.2)
    const check = (answer: Answer) =>
      answer.status !== 405 || offered.every((name) => headerOf(answer, 'allow')?.split(', ').includes(name))
        ? undefined
        : `Allow: ${headerOf(answer, 'allow')}`
    if (nowhere) return caseOf(world, `${method} nowhere`, { method, target: '/v2/nowhere' }, ['404'])
    if (offered.includes(method)) return caseOf(world, `GET ${target}`, { target: '/v2/' }, ['200'])
    // `uploads` could be a digest's place: a bad digest is then what is wrong.
    const allowed: Allowed[] = ['405 UNSUPPORTED']
    return caseOf(world, `${method} ${target.slice(0, 60)}`, { method, target }, allowed, { check })
  },
}
