/** Heads that are too long, doubled, folded, injected, or about somebody else. */
import { type Allowed, bytesOf, type Case, type Category, caseOf } from '../case.ts'
import type { Random } from '../random.ts'
import { type Answer, headerOf } from '../wire.ts'
import type { World } from '../world.ts'

export const headers: Category = {
  name: 'headers',
  weight: 12,
  make: (random, world) => random.pick([large, hosts, broken, ignored, reflected, raw])(random, world),
}

const target = '/v2/'

function large(random: Random, world: World): Case {
  const count = random.pick([50, 400, 1500])
  const many = Array.from({ length: count }, (_, index) => [`X-${index}`, random.text(random.between(0, 8))] as const)
  const size = many.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
  const long = random.pick([1_000, 10_000, 17_000, 60_000])
  // The server stops reading such a head; when that resets the connection, the answer may be lost with it.
  const tooLarge = ['431 UNSUPPORTED', 'closed'] as const
  // Between the two limits the exact count depends on the parser.
  const expected = (bytes: number): readonly Allowed[] =>
    bytes > 16_500 ? tooLarge : bytes > 13_000 ? ['200', ...tooLarge] : ['200']
  return random.pick<() => Case>([
    () => caseOf(world, `${count} headers`, { target, headers: many }, expected(size)),
    () =>
      caseOf(world, `a header of ${long} bytes`, { target, headers: [['X-Long', 'x'.repeat(long)]] }, expected(long)),
    () => caseOf(world, 'a long name', { target, headers: [['x'.repeat(long), '1']] }, expected(long)),
    () => caseOf(world, 'a long path', { target: `/v2/?${'x'.repeat(long)}` }, expected(long)),
    () => caseOf(world, 'a long Accept', { target, headers: [['Accept', 'a/b,'.repeat(3000)]] }, ['200']),
    () =>
      caseOf(
        world,
        'many Accepts',
        {
          target: `/v2/${world.a.repository}/manifests/v1`,
          headers: Array.from({ length: 300 }, () => ['Accept', 'a/b'] as const),
        },
        ['404 MANIFEST_UNKNOWN'],
      ),
    () =>
      caseOf(
        world,
        'a long If-None-Match',
        {
          target: `/v2/${world.a.repository}/blobs/${world.a.blob}`,
          headers: [['If-None-Match', '"x",'.repeat(3000)]],
        },
        ['200'],
      ),
  ])()
}

function hosts(random: Random, world: World): Case {
  const { host, a, b } = world
  const [, port = ''] = host.split(':')
  const invalid: readonly Allowed[] = ['400 UNSUPPORTED']
  const check = (sent: string) => (answer: Answer) => {
    const challenge = headerOf(answer, 'www-authenticate')
    return challenge === undefined || challenge.includes(`://${sent.toLowerCase()}/oauth2/token"`)
      ? undefined
      : `challenge ${challenge}`
  }
  const unknown = random.pick([
    'evil.example',
    'localhost.evil.example',
    'berth.localhost.',
    '10.0.0.1',
    'xn--80ak6aa92e.com',
    `evil.example:${port}`,
    'login.localhost',
    'a.b.localhost',
    '[::2]',
  ])
  const bad = random.pick([
    '',
    ' ',
    'a b',
    'a/b',
    'a@b',
    `${host}@evil.example`,
    `evil.example/${host}`,
    'a\\b',
    'localhost:',
    'localhost:x',
    'localhost:999999',
    '-a',
    '[::1',
    '%6cocalhost',
    'a"b',
    "a'b",
    '<a>',
    'ä',
    'a,b',
    'x'.repeat(300),
    'localhost:80:80',
    '..',
    'a\tb',
  ])
  const elsewhere = random.pick([
    'nosuch.localhost',
    '__proto__.localhost',
    "x'--.localhost",
    'BERTH2.localhost',
    '_.localhost',
  ])
  const path = `/v2/${b.repository}/manifests/v1`
  return random.pick<() => Case>([
    () => caseOf(world, 'no Host', { target, headers: [['Host', undefined]] }, invalid),
    () =>
      caseOf(world, 'HTTP/1.0 without Host', { target, headers: [['Host', undefined]], version: 'HTTP/1.0' }, invalid),
    () =>
      caseOf(
        world,
        'two Hosts',
        {
          target,
          headers: [
            ['Host', host],
            ['Host', unknown],
          ],
        },
        invalid,
      ),
    () =>
      caseOf(
        world,
        'two equal Hosts',
        {
          target,
          headers: [
            ['Host', host],
            ['Host', host],
          ],
        },
        invalid,
      ),
    () => caseOf(world, `Host ${bad}`, { target, headers: [['Host', bad]] }, invalid),
    () =>
      caseOf(world, `Host ${unknown}`, { target: path, headers: [['Host', unknown]] }, [
        '404 NAME_UNKNOWN',
        '400 UNSUPPORTED',
        '400 UNSUPPORTED',
      ]),
    () =>
      caseOf(
        world,
        `Host ${elsewhere}`,
        { target: `/v2/${a.repository}/manifests/v1`, headers: [['Host', elsewhere]] },
        ['401 UNAUTHORIZED', '400 UNSUPPORTED'],
      ),
    () =>
      caseOf(
        world,
        'X-Forwarded-Host',
        {
          target: path,
          headers: [
            ['X-Forwarded-Host', 'evil.example'],
            ['X-Forwarded-Proto', 'gopher'],
            ['X-Forwarded-For', '10.0.0.1'],
            ['Forwarded', 'host=evil.example'],
          ],
        },
        ['401 UNAUTHORIZED'],
        { check: check(host) },
      ),
    () =>
      caseOf(
        world,
        'X-Original-URL',
        {
          target,
          headers: [
            ['X-Original-URL', path],
            ['X-Rewrite-URL', path],
            ['X-HTTP-Method-Override', 'DELETE'],
          ],
        },
        ['200'],
      ),
  ])()
}

/** What the parser refuses. */
function broken(random: Random, world: World): Case {
  const { host, tokenA } = world
  const line = random.pick([
    'X-Folded: a\r\n b',
    'X : y',
    ' X: y',
    'X\u00e9: y',
    'X',
    ': y',
    'X\0: y',
    'X: a\0b',
    'X: a\rb',
    'X(: y',
    'X: \x01',
    '"X": y',
    'X: \x7f',
  ])
  const text = random.pick([
    `GET / HTTP/1.1\r\nHost: ${host}\r\n${line}\r\n\r\n`,
    `GET / HTTP/9.9\r\nHost: ${host}\r\n\r\n`,
    `GET / HTTX/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET /v2/ \r\n\r\n`,
    `GET  /v2/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET\t/v2/\tHTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET /v2/ HTTP/1.1 x\r\nHost: ${host}\r\n\r\n`,
    `GET /v2/ x HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'SSH-2.0-OpenSSH_9.0\r\n',
    `\0\0\0\0\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${tokenA}\r\nTransfer-Encoding: gzip\r\n\r\nxx`,
  ])
  const title = `malformed ${JSON.stringify(text.replace(tokenA, '…').slice(0, 100))}`
  // Some of it a lenient parser may take for a request, which then has no credential.
  return {
    title,
    send: [Buffer.from(text, 'latin1')],
    method: 'GET',
    allowed: ['400', '401 UNAUTHORIZED', '404', 'closed'],
    hangUpMs: 2_000,
    untilClosed: true,
  }
}

/** What must make no difference, or an orderly refusal. */
function ignored(random: Random, world: World): Case {
  const { a, tokenA } = world
  const path = `/v2/${a.repository}/manifests/v1`
  return random.pick<() => Case>([
    () =>
      caseOf(
        world,
        'Upgrade',
        {
          target,
          headers: [
            ['Connection', 'Upgrade'],
            ['Upgrade', random.pick(['websocket', 'h2c', 'x'])],
            ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
          ],
        },
        ['200'],
      ),
    () =>
      caseOf(
        world,
        'an odd Expect',
        {
          method: 'PUT',
          target: path,
          headers: [['Expect', random.pick(['200-ok', 'x', '100-continue, x'])]],
          body: '{}',
        },
        ['400 MANIFEST_INVALID'],
      ),
    () =>
      caseOf(
        world,
        'Expect: 100-continue',
        {
          method: 'PUT',
          target: path,
          headers: [
            ['Expect', '100-continue'],
            ['Content-Type', 'x/y'],
          ],
          body: '{}',
        },
        ['400 MANIFEST_INVALID'],
      ),
    () =>
      caseOf(
        world,
        'two Authorizations',
        {
          target: `/v2/${world.b.repository}/manifests/v1`,
          headers: [
            ['Authorization', `Bearer ${tokenA}`],
            ['Authorization', `Bearer ${tokenA}`],
          ],
        },
        ['400', '401 UNAUTHORIZED'],
      ),
    () =>
      caseOf(
        world,
        'an odd Content-Type',
        {
          method: 'PATCH',
          target: world.takeSession(),
          headers: [['Content-Type', random.pick(['', 'x', 'text/html', 'multipart/form-data', 'a/b; c="\u00e9'])]],
          body: 'x',
        },
        ['202'],
      ),
    () =>
      caseOf(
        world,
        'Content-Encoding',
        {
          method: 'PUT',
          target: path,
          headers: [
            ['Content-Type', 'application/vnd.oci.image.manifest.v1+json'],
            ['Content-Encoding', 'gzip'],
          ],
          body: Buffer.from([0x1f, 0x8b, 8, 0]),
        },
        ['400 MANIFEST_INVALID', '415'],
      ),
    () =>
      caseOf(world, 'Accept-Encoding', { target: path, headers: [['Accept-Encoding', 'gzip, br, zstd, *;q=9']] }, [
        '200',
      ]),
    () =>
      caseOf(
        world,
        'an odd If-Match',
        { target: path, headers: [['If-Match', random.pick(['', '"', '"x"', 'W/"x"', ',,,', '*'])]] },
        ['200', '412 DENIED'],
      ),
    () =>
      caseOf(
        world,
        'an odd Accept',
        { target: path, headers: [['Accept', random.pick([',', ';;;', 'x', '\u00e9', '/', 'a/b;q=5'])]] },
        ['200', '404 MANIFEST_UNKNOWN'],
      ),
    () =>
      caseOf(
        world,
        'Trailer',
        {
          method: 'PUT',
          target: path,
          headers: [
            ['Transfer-Encoding', 'chunked'],
            ['Trailer', 'Host'],
          ],
          body: '2\r\n{}\r\n0\r\nHost: evil.example\r\nAuthorization: x\r\n\r\n',
        },
        ['400'],
      ),
  ])()
}

/** What comes back in an answer's head must not be able to end it. */
function reflected(random: Random, world: World): Case {
  const value = random.pick([
    'ok-1',
    'a b',
    'a\tb',
    'é',
    'x'.repeat(129),
    'x'.repeat(5000),
    '%0d%0aX-Injected: 1',
    '\\r\\nX-Injected: 1',
    '"',
    '\u0085',
    '\u2028',
  ])
  const check = (answer: Answer) => {
    if (headerOf(answer, 'x-injected') !== undefined) return 'a header was injected'
    const echo = headerOf(answer, 'x-ms-client-request-id') ?? ''
    const sent = Buffer.from(value, 'latin1').toString('latin1')
    return echo === '' || echo === sent ? undefined : `echoed ${echo}`
  }
  const { repository } = world.a
  return random.pick<() => Case>([
    () =>
      caseOf(
        world,
        `client request id ${value.slice(0, 30)}`,
        { target, headers: [['x-ms-client-request-id', value]] },
        ['200'],
        { check },
      ),
    () =>
      caseOf(
        world,
        'a line end in artifactType',
        { target: `/v2/${repository}/referrers/${world.a.manifest}?n=1&artifactType=x%0d%0aX-Injected:%201` },
        ['200'],
        { check },
      ),
    () =>
      caseOf(
        world,
        'a line end in last',
        { target: `/v2/${repository}/tags/list?n=1&last=%0d%0aX-Injected:%201` },
        ['200'],
        { check },
      ),
    () =>
      caseOf(
        world,
        'a line end in a name',
        { target: '/v2/a%0d%0aX-Injected:%201/manifests/v1' },
        ['400 NAME_INVALID'],
        { check },
      ),
    () =>
      caseOf(
        world,
        'a line end in a tag',
        {
          method: 'PUT',
          target: `/v2/${repository}/manifests/${world.a.manifest}?tag=a%0d%0aX-Injected:%201`,
          headers: [['Content-Type', 'application/vnd.oci.image.manifest.v1+json']],
          body: world.a.manifestBytes,
        },
        ['400 TAG_INVALID'],
        { check },
      ),
    () =>
      caseOf(
        world,
        'a line end in Content-Range',
        {
          method: 'PATCH',
          target: `${world.takeSession()}%0d%0aX-Injected:%201`,
          headers: [['Content-Range', '5-6']],
          body: 'xx',
        },
        ['404 BLOB_UPLOAD_UNKNOWN'],
        { check },
      ),
  ])()
}

/** Nothing that resembles a request. */
function raw(random: Random, world: World): Case {
  const bytes = random.bytes(random.between(1, 600))
  if (random.chance(0.3)) bytes[0] = 0x16 // the first byte of a TLS handshake
  const good = bytesOf(world, { target })
  const damaged = Buffer.from(good)
  for (let times = random.between(1, 4); times > 0; times--)
    damaged[random.integer(damaged.length)] = random.integer(256)
  const isDamaged = random.chance(0.5)
  return {
    title: isDamaged ? `damaged ${JSON.stringify(damaged.toString('latin1').slice(0, 60))}` : 'random bytes',
    send: [isDamaged ? damaged : bytes],
    method: damaged.toString('latin1').startsWith('HEAD') && isDamaged ? 'HEAD' : 'GET',
    allowed: ['200', '400', '401', '404', '405', '417', 'closed'],
    hangUpMs: 300,
  }
}
