/** Repository names, good and bad, in every place of the API that has one. */
import { type Allowed, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import type { World } from '../world.ts'

/** OCI distribution-spec 1.1, `<name>`, written anew so that the server's own pattern is not what judges it. */
export function isName(text: string): boolean {
  return text.length <= 255 && text.split('/').every((part) => /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$/.test(part))
}

/** Escapes what would change the shape of the request line, and nothing else. */
export function escaped(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte > 0x20 && byte < 0x7f && !'%?#'.includes(String.fromCharCode(byte))
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).padStart(2, '0')}`,
    )
    .join('')
}

const oddities = [
  'UPPER',
  'a/B',
  'Fuzz/a',
  '-a',
  'a-',
  'a..b',
  'a.',
  '.a',
  '..',
  '.',
  'a___b',
  'a__b',
  '_a',
  'a_',
  'a._b',
  'a-.b',
  'a//b',
  '/a',
  'a/',
  'a/../b',
  './a',
  'a b',
  'a\tb',
  'a\nb',
  'a\r\nX: y',
  'a\0b',
  'a:b',
  'a@b',
  'a+b',
  'a~b',
  'a*b',
  'a%2fb',
  'a\\b',
  'ä',
  'ａ',
  'аdmin',
  '🐳',
  'a\u200bb',
  'a\u202eb',
  '\ufeffa',
  'ſ',
  'K',
  '__proto__',
  'constructor',
  'a'.repeat(255),
  'a'.repeat(256),
  `${'a/'.repeat(127)}a`,
  `${'a/'.repeat(128)}a`,
  'a'.repeat(4000),
  'a-'.repeat(2000),
  "a'; drop table repositories; --",
  'a%',
  '$' + '{jndi:ldap://x}',
  '$(id)',
  '`id`',
  '|id',
  'con',
  'aux',
  'a.git',
  'x.lock',
  '1',
  '00000000-0000-0000-0000-000000000000',
  'blobs',
  'manifests',
  'a/manifests/b',
  'a/blobs/uploads',
  'tags/list',
]

function anyName(random: Random): string {
  if (random.chance(0.4)) return random.pick(oddities)
  if (random.chance(0.2)) return random.text(random.between(230, 300), 'abc/-._01')
  const alphabet = random.pick(['abc019', 'abc-._', 'abc-._/', 'aB0._-/', 'ab/.%:', 'ab\u00e9\u4e00-/', 'a_./'])
  return random.text(random.between(1, 40), alphabet)
}

const places: readonly {
  readonly path: (name: string, world: World) => string
  readonly methods: readonly string[]
}[] = [
  { path: (name) => `/v2/${name}/manifests/v1`, methods: ['GET', 'HEAD', 'PUT', 'DELETE'] },
  { path: (name, { a }) => `/v2/${name}/blobs/${a.blob}`, methods: ['GET', 'HEAD', 'DELETE'] },
  { path: (name) => `/v2/${name}/blobs/uploads/`, methods: ['POST'] },
  { path: (name) => `/v2/${name}/tags/list`, methods: ['GET'] },
  { path: (name, { a }) => `/v2/${name}/referrers/${a.manifest}`, methods: ['GET'] },
]

export const names: Category = {
  name: 'names',
  weight: 10,
  make(random, world) {
    const name = anyName(random)
    const { path, methods } = random.pick(places)
    // A slash at either end makes an empty segment, which may also miss the route altogether.
    const allowed: Allowed[] = isName(name) ? ['401 UNAUTHORIZED'] : ['400 NAME_INVALID']
    if (name === '' || name.length > 3500) allowed.push('404 NAME_UNKNOWN')
    const method = random.pick(methods)
    const target = path(escaped(name), world)
    return caseOf(world, `name ${JSON.stringify(name.slice(0, 80))}`, { method, target }, allowed)
  },
}
