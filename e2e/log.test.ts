/** What the program writes while it serves: a line a request, for machines or for people, and never a secret. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { anImage, contentsOf, sha256 } from './images.ts'
import { basic, fetchOnce, runBerth, startProgram, until } from './program.ts'
import { closing } from './registry.ts'
import { temporaryFolder } from './temporary-folder.ts'

const timeout = { timeout: 120_000 }

test('a push with password and tokens › one JSON line a request, and no secret in any', timeout, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({
    dataFolder: data.folder,
    flags: ['--workers', '2', '--log-level', 'trace'],
  })
  const base = `http://127.0.0.1:${program.port}`
  const { registry, clientSecret } = program.bootstrap
  const secrets = [registry.password, clientSecret, basic(registry).slice('Basic '.length)]
  let requests = 0
  const ask = (method: string, path: string, headers: Record<string, string>, body?: Buffer) => {
    requests++
    const length = body === undefined ? {} : { 'content-length': String(body.length) }
    const options = { method, headers: { ...length, ...headers } }
    return fetchOnce(base + path, options, body)
  }
  const tokenOf = (answer: { body: Buffer }, name: string) => {
    const token = (JSON.parse(answer.body.toString()) as Record<string, string>)[name] ?? ''
    assert.ok(token.length > 20, answer.body.toString())
    secrets.push(token)
    return token
  }

  // With the password itself, as it is and in the wrong places.
  const byPassword = { authorization: basic(registry) }
  const byName = { authorization: basic({ ...registry, username: registry.password, password: 'x' }) }
  assert.equal((await ask('GET', '/v2/', byPassword)).status, 200)
  assert.equal((await ask('GET', '/v2/', byName)).status, 401)

  // With a refresh token from the command line, and an access token that it is exchanged for.
  const printed = await runBerth(['token', '--data', data.folder, '--domain', `localhost:${program.port}`])
  assert.deepEqual([printed.code, printed.stderr], [0, ''])
  secrets.push(printed.stdout.trim())
  const scope = 'repository:log/image:pull,push'
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    service: registry.loginServer,
    scope,
    refresh_token: printed.stdout.trim(),
  })
  const formType = { 'content-type': 'application/x-www-form-urlencoded' }
  const granted = await ask('POST', '/oauth2/token', formType, Buffer.from(form.toString()))
  assert.equal(granted.status, 200, granted.body.toString())
  const byToken = { authorization: `Bearer ${tokenOf(granted, 'access_token')}` }
  const query = new URLSearchParams({ service: registry.loginServer, scope })
  tokenOf(await ask('GET', `/oauth2/token?${query}`, byPassword), 'access_token')

  const image = anImage('log')
  for (const { bytes, descriptor } of contentsOf(image)) {
    if (descriptor.mediaType.includes('manifest')) continue
    const begun = await ask('POST', '/v2/log/image/blobs/uploads/', byToken)
    assert.equal(begun.status, 202)
    const location = begun.headers.location ?? ''
    const octets = { ...byToken, 'content-type': 'application/octet-stream' }
    const { status } = await ask('PUT', closing(location, sha256(bytes)), octets, bytes)
    assert.equal(status, 201)
    // What finds an upload session is signed, and whoever holds it may go on with it: not for the log either.
    const state = new URL(location, base).search
    if (state !== '') secrets.push(state)
  }
  const { bytes, descriptor } = image.manifest
  const type = { 'content-type': descriptor.mediaType }
  assert.equal((await ask('PUT', '/v2/log/image/manifests/v1', { ...byToken, ...type }, bytes)).status, 201)
  assert.equal((await ask('GET', '/v2/log/image/manifests/v1', byToken)).status, 200)
  assert.equal((await ask('GET', `/v2/?access_token=${registry.password}`, {})).status, 401)
  assert.equal((await ask('GET', '/v2/', { authorization: `Bearer ${registry.password}` })).status, 401)

  const lines = () =>
    program.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  await until('every request has its line', () => lines().filter(({ msg }) => msg === 'request').length >= requests)
  program.signal('SIGTERM')
  assert.equal(await program.exited, 0)
  const logged = lines()
  assert.equal(logged.filter(({ msg }) => msg === 'request').length, requests)
  for (const line of logged.filter(({ msg }) => msg === 'request')) {
    for (const fact of ['time', 'method', 'path', 'route', 'status', 'ms', 'remote', 'correlationId']) {
      assert.ok(fact in line, `${fact} in ${JSON.stringify(line)}`)
    }
  }
  assert.ok(
    program.log.startsWith('Berth listens') || program.log.startsWith('{'),
    'this is the log from its beginning',
  )
  for (const secret of secrets) {
    assert.ok(secret.length > 10)
    assert.ok(!program.log.includes(secret), `a secret is in the log: ${secret.slice(0, 6)}…`)
  }
})

test('--log-format pretty › a line for people, with time, level and message', timeout, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({
    dataFolder: data.folder,
    flags: ['--workers', '1', '--log-format', 'pretty'],
  })
  await fetchOnce(`http://127.0.0.1:${program.port}/healthz`)
  await until('the request has its line', () => /request/.test(program.stdout))
  const shown = stripVTControlCharacters(program.stdout)
  assert.match(shown, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: ready \{/m)
  assert.match(
    shown,
    /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: request \{"method":"GET","path":"\/healthz",.*"correlationId":"/m,
  )
})
