/** `/oauth2/token`: forms, scopes, grants. */
import { basic } from '../../client.ts'
import { type Allowed, type Case, type Category, caseOf, someLoopbackAddress } from '../case.ts'
import type { Random } from '../random.ts'
import type { Answer } from '../wire.ts'
import { nullGuid, type World } from '../world.ts'
import { decodePart } from './tokens.ts'

export const tokenEndpoint: Category = {
  name: 'token-endpoint',
  weight: 8,
  make: (random, world) => random.pick([scopes, scopes, forms])(random, world),
}

function anyScope(random: Random, { a, b }: World): string {
  return random.pick<() => string>([
    () => `repository:${a.repository}:pull`,
    () => `repository:${a.repository}:*`,
    () => `repository:${b.repository}:pull,push`,
    () => `repository:${b.repository}:*`,
    () => 'repository:*:*',
    () => 'registry:catalog:*',
    () => 'registry:None:*',
    () => `repository:${a.repository}:pull repository:${b.repository}:pull`,
    () => `repository(plugin):${b.repository}:pull`,
    () => `repository:${a.repository}/../${b.repository}:pull`,
    () => `Repository:${b.repository}:Pull`,
    () => `repository:${'x'.repeat(random.pick([100, 3000]))}:pull`,
    () => `repository:${b.repository}\0:pull`,
    () => 'repository:__proto__:constructor',
    () => 'repository:a:toString,valueOf,__proto__,hasOwnProperty',
    () => `${'repository:a:pull '.repeat(100)}`,
    () => random.text(random.between(0, 60), 'ab:, */\u00e9'),
    () => ':'.repeat(random.between(1, 500)),
  ])()
}

/** With a token for A in hand, a token for more than A must not come out, whatever is asked for. */
function scopes(random: Random, world: World): Case {
  const asked = Array.from({ length: random.between(0, 5) }, () => anyScope(random, world))
  const check = ({ status, body }: Answer) => {
    if (status !== 200) return undefined
    const { access_token: token } = JSON.parse(body.toString('utf8')) as { access_token: string }
    const { access, mount_from: mountFrom } = decodePart(token, 1) as {
      access: { type: string; name: string; actions: string[] }[]
      mount_from?: string[]
    }
    const beyond = access.find(({ type, name }) => type !== 'repository' || name !== world.a.repository)
    if (beyond !== undefined) return `a token for ${JSON.stringify(beyond)}`
    return mountFrom === undefined ? undefined : `a token that mounts from ${mountFrom}`
  }
  const credential = basic(nullGuid, world.tokenA)
  const pairs = asked.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&')
  if (random.chance(0.5)) {
    const target = `/oauth2/token?service=${world.host}&${pairs}`
    return caseOf(
      world,
      `scope ${pairs.slice(0, 100)}`,
      { target, headers: [['Authorization', credential]] },
      ['200'],
      { check },
    )
  }
  const form = new URLSearchParams([
    ['grant_type', 'password'],
    ['username', nullGuid],
    ['password', world.tokenA],
  ])
  return post(world, `form scope ${pairs.slice(0, 100)}`, `${form}&${pairs}`, ['200'], { check })
}

function post(
  world: World,
  title: string,
  body: Buffer | string,
  allowed: readonly Allowed[],
  more: { check?: (answer: Answer) => string | undefined; from?: string; type?: string } = {},
): Case {
  const { type = 'application/x-www-form-urlencoded', ...rest } = more
  const headers = [
    ['Authorization', undefined],
    ['Content-Type', type],
  ] as const
  return caseOf(world, title, { method: 'POST', target: '/oauth2/token', headers, body }, allowed, rest)
}

function forms(random: Random, world: World): Case {
  const refused: readonly Allowed[] = ['401 UNAUTHORIZED', '429 TOOMANYREQUESTS']
  const from = someLoopbackAddress(random)
  const wrong = random.text(20)
  return random.pick<() => Case>([
    () =>
      post(
        world,
        'an odd grant type',
        `grant_type=${encodeURIComponent(random.pick(['', 'x', 'PASSWORD', 'client_credentials', 'authorization_code', '__proto__', 'x'.repeat(5000), '\0']))}`,
        ['400 UNSUPPORTED'],
      ),
    () => post(world, 'no grant type', random.pick(['', '&', '=', 'x', '%', 'service=x']), ['400 UNSUPPORTED']),
    () =>
      post(world, 'a wrong password', `grant_type=password&username=${world.username}&password=${wrong}`, refused, {
        from,
      }),
    () => post(world, 'an anonymous password', 'grant_type=password&refresh_token=', ['401 UNAUTHORIZED']),
    () =>
      post(
        world,
        'a bad refresh token',
        `grant_type=refresh_token&refresh_token=${random.pick(['', 'x', 'a.b.c', world.tokenA, '.'.repeat(5000), `${wrong}.${wrong}.${wrong}`])}`,
        refused,
        { from },
      ),
    () =>
      post(
        world,
        'an access token as a refresh token',
        `grant_type=refresh_token&refresh_token=${world.tokenAdmin}`,
        refused,
        { from },
      ),
    () =>
      post(
        world,
        'an unknown user',
        `grant_type=password&username=${encodeURIComponent(random.pick(['', 'root', '\0', "'--", 'x'.repeat(9000), '🐳']))}&password=${wrong}`,
        refused,
        { from },
      ),
    () =>
      post(world, 'another content type', `grant_type=password`, ['400 UNSUPPORTED'], {
        type: random.pick(['', 'application/json', 'multipart/form-data; boundary=x', 'text/plain', 'x']),
      }),
    () => post(world, 'a form above 64 KiB', `grant_type=${'x'.repeat(70_000)}`, ['413 SIZE_INVALID']),
    () => post(world, 'random bytes', random.bytes(random.between(1, 5000)), ['400 UNSUPPORTED']),
    () => post(world, 'ten thousand fields', 'a=b&'.repeat(10_000), ['400 UNSUPPORTED']),
    () =>
      caseOf(
        world,
        'an exchange',
        {
          method: 'POST',
          target: '/oauth2/exchange',
          headers: [
            ['Authorization', undefined],
            ['Content-Type', 'application/x-www-form-urlencoded'],
          ],
          body: `grant_type=access_token&service=${world.host}&access_token=${wrong}`,
        },
        ['400', '401 UNAUTHORIZED', '404', '405'],
      ),
  ])()
}
