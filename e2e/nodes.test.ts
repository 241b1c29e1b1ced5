/** Several servers on one PostgreSQL and one folder of blobs, as behind one address; and what they do while it is gone. */
import assert from 'node:assert/strict'
import { mkdir, readFile, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { freePort } from '../server/test/free-port.ts'
import { type OwnPostgres, postgresSkip, startPostgres } from '../server/test/postgres.ts'
import type { Bootstrap } from './berth.ts'
import { repositoryFolder } from './clients/folders.ts'
import { anImage, type Image, randomBytesOf, sha256 } from './images.ts'
import { type ProcessGroup, startProcessGroup } from './process-group.ts'
import { basic, fetchOnce, runBerth, until } from './program.ts'
import type { Answer } from './registry.ts'
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts'

interface Node {
  readonly port: number
  readonly server: ProcessGroup
  start(): Promise<void>
}

const timeoutMs = 180_000
const mebibyte = 1 << 20

suite('servers on one PostgreSQL', { skip: postgresSkip, timeout: timeoutMs }, () => {
  let postgres: OwnPostgres
  let home: TemporaryFolder
  let one: Node
  let other: Node
  let authorization: string

  before(async () => {
    postgres = await startPostgres()
    home = await temporaryFolder('nodes')
    one = await aNode('one')
    await one.start()
    const text = await readFile(join(home.folder, 'one', 'bootstrap.json'), 'utf8')
    authorization = basic((JSON.parse(text) as Bootstrap).registry)
    other = await aNode('other')
    await symlink(join(home.folder, 'one', 'blobs'), join(home.folder, 'other', 'blobs'))
    await other.start()
  })
  after(async () => {
    await Promise.all([one?.server.stop(), other?.server.stop()])
    await postgres?.[Symbol.asyncDispose]()
    await home?.[Symbol.asyncDispose]()
  })

  /** Not started yet. */
  async function aNode(name: string): Promise<Node> {
    const dataFolder = join(home.folder, name)
    await mkdir(dataFolder)
    const port = await freePort()
    const flags = ['--data', dataFolder, '--secret-key', join(home.folder, 'secret.key'), '--port', String(port)]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    let server: ProcessGroup | undefined
    return {
      port,
      get server() {
        if (server === undefined) throw new Error(`${name} was not started`)
        return server
      },
      async start() {
        const main = join(repositoryFolder, 'cli', 'src', 'main.ts')
        const database = { BERTH_DATABASE: postgres.urlOf('postgres') }
        server = startProcessGroup(process.execPath, [main, 'start', ...flags, '--http', '--workers', '2'], {
          ...env,
          ...database,
        })
        setTimeout(() => void server?.kill(), timeoutMs).unref()
        await server.ready(async () => (await statusOf(port, '/healthz')) === 200, 60)
      },
    }
  }

  const statusOf = (port: number, path: string): Promise<number | undefined> =>
    fetchOnce(`http://127.0.0.1:${port}${path}`).then(
      ({ status }) => status,
      () => undefined,
    )

  function ask({ port }: Node, method: string, path: string, body?: Uint8Array, headers = {}): Promise<Answer> {
    const length = body === undefined ? {} : { 'content-length': String(body.length) }
    const options = { method, headers: { authorization, ...length, ...headers } }
    return fetchOnce(`http://127.0.0.1:${port}${path}`, options, body)
  }

  async function must(status: number, answer: Promise<Answer>): Promise<Answer> {
    const answered = await answer
    assert.equal(answered.status, status, answered.body.toString())
    return answered
  }

  const locationOf = ({ headers }: Answer): string => headers.location ?? assert.fail('no Location')

  async function pushBlobs(node: Node, repository: string, { config, layers }: Image) {
    for (const { bytes } of [config, ...layers]) {
      await must(201, ask(node, 'POST', `/v2/${repository}/blobs/uploads/?digest=${sha256(bytes)}`, bytes))
    }
  }

  const putManifest = (node: Node, repository: string, tag: string, { manifest }: Image) =>
    ask(node, 'PUT', `/v2/${repository}/manifests/${tag}`, manifest.bytes, {
      'content-type': manifest.descriptor.mediaType,
    })

  test('an upload that one began goes on on the other, and back, and both serve the blob', async () => {
    const bytes = randomBytesOf('nodes', 3 * mebibyte)
    const parts = [0, 1, 2].map((part) => bytes.subarray(part * mebibyte, (part + 1) * mebibyte))
    let location = locationOf(await must(202, ask(one, 'POST', '/v2/nodes/upload/blobs/uploads/')))
    for (const [i, node] of [one, other, one].entries()) {
      const range = { 'content-range': `${i * mebibyte}-${(i + 1) * mebibyte - 1}` }
      location = locationOf(await must(202, ask(node, 'PATCH', location, parts[i], range)))
    }
    await must(201, ask(other, 'PUT', `${location}?digest=${sha256(bytes)}`))
    for (const node of [one, other]) {
      const { body } = await must(200, ask(node, 'GET', `/v2/nodes/upload/blobs/${sha256(bytes)}`))
      assert.ok(body.equals(bytes))
    }
  })

  test('what is pushed to, moved or deleted on one is so on the other at once', async () => {
    const [first, second] = [anImage('nodes first'), anImage('nodes second')]
    for (const image of [first, second]) await pushBlobs(one, 'nodes/tags', image)
    const tag = '/v2/nodes/tags/manifests/v1'
    for (let round = 0; round < 20; round++) {
      const [here, there] = round % 2 === 0 ? [one, other] : [other, one]
      for (const image of [first, second]) {
        await must(201, putManifest(here, 'nodes/tags', 'v1', image))
        const { body } = await must(200, ask(there, 'GET', tag))
        assert.equal(sha256(body), image.manifest.descriptor.digest)
      }
      await must(202, ask(there, 'DELETE', tag))
      await must(404, ask(here, 'GET', tag))
      await must(202, ask(here, 'DELETE', `/v2/nodes/tags/manifests/${second.manifest.descriptor.digest}`))
      await must(404, ask(there, 'GET', `/v2/nodes/tags/manifests/${second.manifest.descriptor.digest}`))
    }
  })

  test('a token of one lets its holder in on the other', async () => {
    const scope = 'scope=repository:nodes/token:pull,push'
    const answer = await must(200, ask(one, 'GET', `/oauth2/token?service=localhost&${scope}`))
    const { access_token: token } = JSON.parse(answer.body.toString()) as { access_token: string }
    const headers = { authorization: `Bearer ${token}` }
    const upload = await must(202, ask(other, 'POST', '/v2/nodes/token/blobs/uploads/', undefined, headers))
    await must(204, ask(one, 'DELETE', locationOf(upload), undefined, headers))
  })

  test('pushes of one tag, one digest and many others on both at once all succeed', async () => {
    const images = Array.from({ length: 12 }, (_, i) => anImage(`nodes at once ${i % 6}`))
    const pushes = images.map(async (image, i) => {
      const node = i % 2 === 0 ? one : other
      await pushBlobs(node, 'nodes/many', image)
      for (const tag of ['latest', `v${i}`]) await must(201, putManifest(node, 'nodes/many', tag, image))
    })
    await Promise.all(pushes)
    for (const node of [one, other]) {
      const { body } = await must(200, ask(node, 'GET', '/v2/nodes/many/tags/list'))
      const { tags } = JSON.parse(body.toString()) as { tags: string[] }
      assert.deepEqual(tags, ['latest', ...images.map((_, i) => `v${i}`)].sort())
      const { body: latest } = await must(200, ask(node, 'GET', '/v2/nodes/many/manifests/latest'))
      assert.ok(images.some(({ manifest }) => manifest.descriptor.digest === sha256(latest)))
    }
  })

  test('a command on a data folder finds the database by itself, but for the password, which was not kept', async () => {
    const { password } = new URL(postgres.urlOf('postgres'))
    const command = ['password', '--data', join(home.folder, 'other')]
    const told = await runBerth(command, { PGPASSWORD: password, PGPASSFILE: join(home.folder, 'none') })
    assert.deepEqual([told.code, told.stderr], [0, ''])
    const expected = Buffer.from(authorization.slice('Basic '.length), 'base64').toString().split(':')[1]
    assert.equal(told.stdout, `${expected}\n`)
    const untold = await runBerth(command, { PGPASSFILE: join(home.folder, 'none') })
    assert.deepEqual([untold.code, untold.stdout], [1, ''])
    assert.match(
      untold.stderr,
      /^berth: postgres:\/\/berth@127\.0\.0\.1:\d+\/postgres: the server asks for a password, .*\n$/,
    )
  })

  test('only the one that founded has a bootstrap.json', async () => {
    await assert.rejects(stat(join(home.folder, 'other', 'bootstrap.json')), { code: 'ENOENT' })
  })

  test('while the database is gone › 503 with Retry-After, not ready but alive; then all goes on, and nothing is lost', async () => {
    const [kept, early] = [anImage('nodes kept'), anImage('nodes early')]
    // Sessions are not synced by themselves; what is acknowledged after them takes them to the disk.
    const upload = locationOf(await must(202, ask(one, 'POST', '/v2/nodes/gone/blobs/uploads/')))
    await pushBlobs(one, 'nodes/gone', kept)
    await must(201, putManifest(one, 'nodes/gone', 'kept', kept))

    await postgres.stop('immediate')
    for (const node of [one, other]) {
      for (const path of ['/v2/nodes/gone/manifests/kept', '/v2/_catalog']) {
        const { headers } = await must(503, ask(node, 'GET', path))
        assert.ok(Number(headers['retry-after']) > 0, path)
      }
      await must(503, putManifest(node, 'nodes/gone', 'early', early))
      await must(503, ask(node, 'PATCH', upload, Buffer.from('x')))
      assert.deepEqual([await statusOf(node.port, '/readyz'), await statusOf(node.port, '/healthz')], [503, 200])
    }
    await postgres.start()
    for (const node of [one, other]) {
      // Each worker finds out by itself.
      for (let asked = 0; asked < 10; asked++) {
        await until('it is ready again', async () => (await statusOf(node.port, '/readyz')) === 200)
      }
      const { body } = await must(200, ask(node, 'GET', '/v2/nodes/gone/manifests/kept'))
      assert.equal(sha256(body), kept.manifest.descriptor.digest)
      await must(404, ask(node, 'GET', '/v2/nodes/gone/manifests/early'))
    }
    const location = locationOf(await must(202, ask(other, 'PATCH', upload, Buffer.from('hello'))))
    await must(201, ask(one, 'PUT', `${location}?digest=${sha256(Buffer.from('hello'))}`))
  })

  test('a server that is started before the database waits for it, and says so', async () => {
    await other.server.stop()
    await postgres.stop()
    const starting = other.start()
    await until('it says what it waits for', () => /Waiting up to 60 s for postgres:/.test(other.server.stderr))
    await postgres.start()
    await starting
    await until('it is ready', async () => (await statusOf(other.port, '/readyz')) === 200)
    await must(200, ask(other, 'GET', '/v2/nodes/tags/tags/list'))
  })

  test('no log, message or file of theirs has the database’s password', async () => {
    const { password } = new URL(postgres.urlOf('postgres'))
    assert.ok(password.length > 10)
    for (const [name, node] of [
      ['one', one],
      ['other', other],
    ] as const) {
      const absent = `/v2/nodes/absent/manifests/${name}`
      await must(404, ask(node, 'GET', absent))
      await until('its log has come', () => node.server.log.includes(absent))
      assert.ok(!node.server.log.includes(password), name)
      const { body } = await fetchOnce(`http://127.0.0.1:${node.port}/metrics`)
      assert.ok(!body.includes(password))
      assert.ok(!(await readFile(join(home.folder, name, 'last-start.json'), 'utf8')).includes(password))
    }
  })
})
