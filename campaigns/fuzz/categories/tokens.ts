/** Bearer tokens that nobody issued, or that were tampered with, or that are good for something else. */
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import type { World } from '../world.ts'

/** Another key than the server's, made once. */
const strangersKey = generateKeyPairSync('rsa', { modulusLength: 2048 })

export const tokens: Category = {
  name: 'tokens',
  weight: 12,
  make(random, world) {
    const choice = random.integer(10)
    if (choice === 0) return elsewhere(random, world)
    if (choice === 1) return tooNarrow(random, world)
    const { title, token } = forge(random, world)
    const { repository, blob, tag } = random.pick([world.a, world.b])
    const target = random.pick([
      `/v2/${repository}/blobs/${blob}`,
      `/v2/${repository}/manifests/${tag}`,
      '/v2/',
      '/v2/_catalog',
    ])
    const method = target.includes('/blobs/') ? random.pick(['GET', 'HEAD', 'DELETE']) : 'GET'
    const headers = [['Authorization', `Bearer ${token}`]] as const
    // A head above 16 KiB is refused before anybody looks at the token.
    const allowed =
      token.length > 15_000 ? (['401 UNAUTHORIZED', '431', 'closed'] as const) : (['401 UNAUTHORIZED'] as const)
    return caseOf(world, title, { method, target, headers }, allowed)
  },
}

/** A good token at somebody else's repository. */
function elsewhere(random: Random, world: World): Case {
  const { repository, blob, manifest, tag } = world.b
  const method = random.pick(['GET', 'HEAD', 'DELETE', 'PUT'])
  const target = `/v2/${repository}/manifests/${random.pick([manifest, tag])}`
  const blobTarget = `/v2/${repository}/blobs/${blob}`
  const usesBlob = method !== 'PUT' && random.chance(0.5)
  return caseOf(world, "A's token at B", { method, target: usesBlob ? blobTarget : target }, ['401 UNAUTHORIZED'])
}

function tooNarrow(random: Random, world: World): Case {
  const { repository, blob, tag } = world.a
  const headers = [['Authorization', `Bearer ${world.tokenPullA}`]] as const
  const [method, target] = random.pick([
    ['PUT', `/v2/${repository}/manifests/${tag}`],
    ['DELETE', `/v2/${repository}/manifests/${tag}`],
    ['DELETE', `/v2/${repository}/blobs/${blob}`],
    ['POST', `/v2/${repository}/blobs/uploads/`],
    ['GET', '/v2/_catalog'],
  ] as const)
  return caseOf(world, 'a token for pulling only', { method, target, headers }, ['401 UNAUTHORIZED'])
}

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export interface ForgedHeader {
  readonly [field: string]: unknown
}

/** Signs with a key of our own, or with nothing. */
export function signed(header: ForgedHeader, claims: unknown, key: KeyObject | string | undefined): string {
  const content = `${encode(header)}.${encode(claims)}`
  if (key === undefined) return `${content}.`
  if (typeof key === 'string') return `${content}.${createHmac('sha256', key).update(content).digest('base64url')}`
  return `${content}.${createSign('sha256').update(content).sign(key).toString('base64url')}`
}

export const decodePart = (token: string, part: 0 | 1): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[part] ?? '', 'base64url').toString('utf8')) as Record<string, unknown>

export const strangersPublicKey = () => strangersKey.publicKey.export({ format: 'jwk' })
export const strangersPrivateKey = strangersKey.privateKey

function forge(random: Random, world: World): { title: string; token: string } {
  const good = world.tokenA
  const header = decodePart(good, 0)
  const everything = [
    { type: 'repository', name: random.pick(['*', 'secret/b']), actions: ['pull', 'push', 'delete', '*'] },
  ]
  const claims = { ...decodePart(good, 1), access: everything }
  const jwk = strangersPublicKey()
  const [head = '', payload = '', signature = ''] = good.split('.')
  const withHeader = (
    title: string,
    changes: ForgedHeader,
    key: KeyObject | string | undefined = strangersPrivateKey,
  ) => ({
    title,
    token: signed({ ...header, ...changes }, claims, key),
  })
  return random.pick<() => { title: string; token: string }>([
    () => withHeader('alg none', { alg: random.pick(['none', 'None', 'NONE', 'nOnE', '']) }, undefined),
    () => ({
      title: 'alg none with the old signature',
      token: `${encode({ ...header, alg: 'none' })}.${encode(claims)}.${signature}`,
    }),
    () => withHeader('HS256', { alg: 'HS256' }, random.pick(['', 'secret', String(header.kid), JSON.stringify(jwk)])),
    () =>
      withHeader(
        'HS256 with a known kid and a public key',
        { alg: 'HS256' },
        strangersKey.publicKey.export({ format: 'pem', type: 'spki' }).toString(),
      ),
    () => withHeader("a stranger's key", {}),
    () => withHeader('a jwk of its own', { jwk }),
    () => withHeader('a jwk and no kid', { jwk, kid: undefined }),
    () => withHeader('jku', { jku: 'http://127.0.0.1:1/keys', kid: 'x' }),
    () => withHeader('x5u and x5c', { x5u: 'http://127.0.0.1:1/', x5c: ['MIIB'], kid: undefined }),
    () =>
      withHeader('an odd kid', {
        kid: random.pick<unknown>([
          '../../../dev/null',
          '/dev/null',
          "' or 1=1 --",
          '',
          null,
          5,
          [],
          {},
          '\0',
          'a'.repeat(5000),
          '__proto__',
          'toString',
          '| id',
          'file:///etc/passwd',
        ]),
      }),
    () => withHeader('crit', { crit: random.pick<unknown>([['b64'], ['exp'], [], 'x', ['x'], [5]]), b64: false }),
    () =>
      withHeader('another alg', {
        alg: random.pick<unknown>(['RS512', 'PS256', 'ES256', 'EdDSA', 'RSA1_5', 'dir', null, 5, [], {}, 'rs256']),
      }),
    () => withHeader('another typ', { typ: random.pick<unknown>(['at+jwt', 'JWE', null, 5, '']) }),
    () => ({ title: 'changed claims', token: `${head}.${encode(claims)}.${signature}` }),
    () => ({ title: 'no signature', token: `${head}.${payload}.` }),
    () => ({ title: 'two parts', token: `${head}.${payload}` }),
    () => ({ title: 'four parts', token: `${good}.${signature}` }),
    () => ({ title: 'five parts', token: `${good}.x.y` }),
    () => ({ title: 'a changed signature', token: `${head}.${payload}.${flipped(random, signature)}` }),
    () => ({
      title: 'claims that are no object',
      token: signed(header, random.pick<unknown>([null, 5, [], 'x', [[]], true]), strangersPrivateKey),
    }),
    () => ({
      title: 'a deep header',
      token: `${encode(`${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`)}.${payload}.${signature}`,
    }),
    () => ({
      title: 'a header that is no JSON',
      token: `${encode(random.pick(['', '{', 'null', '[]', '5', '"x"']))}.${payload}.${signature}`,
    }),
    () => ({
      title: 'huge',
      token: `${head}.${random.text(random.pick([6_000, 11_000, 15_500, 40_000]), 'abcXYZ012-_')}.${signature}`,
    }),
    () => ({ title: 'many dots', token: '.'.repeat(random.between(1, 5000)) }),
    () => ({ title: 'random text', token: random.text(random.between(1, 300), 'abcXYZ012-_.=+/~!#$%&') }),
    () => ({ title: 'nothing', token: '' }),
    () => ({ title: 'the token twice', token: `${good}, Bearer ${good}` }),
    () => ({ title: 'odd bytes', token: `${good}\u00e9` }),
  ])()
}

function flipped(random: Random, signature: string): string {
  const at = random.integer(signature.length - 4) // the last characters have bits that mean nothing
  const other = signature[at] === 'A' ? 'B' : 'A'
  return signature.slice(0, at) + other + signature.slice(at + 1)
}
