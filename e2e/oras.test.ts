import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { anImage, randomBytesOf, sha256 } from './images.ts'
import { getBlob, getManifest, listReferrers, listTags, pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const oras = client('oras')
const story = storiesWith([oras])

/** oras speaks plain HTTP to localhost by itself; for TLS it must be told. */
const transports: Record<string, (berth: Berth, prefix?: string) => readonly string[]> = {
  'plain HTTP': () => [],
  TLS: (berth, prefix = '') => [`--${prefix}plain-http=false`, `--${prefix}ca-file`, berth.ca],
}

for (const [transport, flagsOf] of Object.entries(transports)) {
  const name = `oras-${transport === 'TLS' ? 'tls' : 'plain'}`
  const prepare = async (berth: Berth, home: Home) => {
    const flags = flagsOf(berth)
    const login = await home.run(
      oras.path,
      ['login', ...flags, '--username', berth.username, '--password-stdin', berth.host],
      { input: berth.password },
    )
    assert.match(login.output, /Login Succeeded/)
    return (command: string, ...argumentList: readonly string[]) =>
      home.run(oras.path, [...command.split(' '), ...flags, ...argumentList])
  }

  story(`oras push, pull, tag, manifest fetch over ${transport}`, async ({ berth, home }) => {
    const run = await prepare(berth, home)
    const files = { 'a.bin': randomBytesOf(`${name}-a`, 50_000), 'b.txt': Buffer.from('b\n') }
    for (const [file, bytes] of Object.entries(files)) await writeFile(home.path(file), bytes)
    const reference = `${berth.host}/${name}/files:v1`
    await run('push', '--artifact-type', 'application/vnd.berth.test', reference, 'a.bin', 'b.txt:text/plain')
    const stored = await getManifest(berth, `${name}/files`, 'v1')
    assert.equal(stored.json.artifactType, 'application/vnd.berth.test')
    assert.deepEqual(
      stored.json.layers?.map(({ digest }) => digest),
      Object.values(files).map(sha256),
    )
    await run('pull', '--output', home.path('back'), reference)
    for (const [file, bytes] of Object.entries(files)) {
      assert.ok((await readFile(home.path('back', file))).equals(bytes), file)
    }
    await run('tag', reference, 'v2', 'latest')
    assert.deepEqual(await listTags(berth, `${name}/files`), ['latest', 'v1', 'v2'])
    assert.equal((await run('repo tags', `${berth.host}/${name}/files`)).stdout, 'latest\nv1\nv2\n')
    const fetched = await run('manifest fetch', `${berth.host}/${name}/files:latest`)
    assert.equal(fetched.stdout, stored.bytes.toString('utf8'))
    assert.match((await run('repo ls', berth.host)).stdout, new RegExp(`^${name}/files$`, 'm'))
  })

  story(`oras attach, discover, cp -r over ${transport} › referrers go along`, async ({ berth, home }) => {
    const run = await prepare(berth, home)
    const image = anImage(`${name}-subject`)
    await pushImage(berth, `${name}/from`, 'v1', image)
    const subject = image.manifest.descriptor.digest
    await writeFile(home.path('sbom.json'), '{"sbom":true}')
    await writeFile(home.path('sig'), 'signature')
    const reference = `${berth.host}/${name}/from:v1`
    await run('attach', '--artifact-type', 'application/vnd.berth.sbom', reference, 'sbom.json:application/json')
    const [sbom] = await listReferrers(berth, `${name}/from`, subject)
    assert.equal(sbom?.artifactType, 'application/vnd.berth.sbom')
    assert.equal((await getManifest(berth, `${name}/from`, sbom.digest)).json.subject?.digest, subject)
    await run(
      'attach',
      ...['--artifact-type', 'application/vnd.berth.signature', '--annotation', 'a=b'],
      ...[`${berth.host}/${name}/from@${sbom.digest}`, 'sig'],
    )
    const discover = async (repository: string, ...flags: readonly string[]) => {
      const { stdout } = await run('discover', '--format', 'json', ...flags, `${berth.host}/${repository}@${subject}`)
      return JSON.parse(stdout) as Discovered
    }
    const found = await discover(`${name}/from`)
    assert.equal(found.referrers?.[0]?.digest, sbom.digest)
    assert.equal(found.referrers[0].referrers?.[0]?.artifactType, 'application/vnd.berth.signature')
    assert.equal(found.referrers[0].referrers[0].annotations?.a, 'b')
    const others = await discover(`${name}/from`, '--artifact-type', 'application/vnd.berth.signature')
    assert.deepEqual(others.referrers ?? [], [])

    await home.run(oras.path, [
      ...['cp', '-r', ...flagsOf(berth, 'from-'), ...flagsOf(berth, 'to-')],
      ...[reference, `${berth.host}/${name}/to:copied`],
    ])
    assert.equal((await getManifest(berth, `${name}/to`, 'copied')).digest, subject)
    const copied = await discover(`${name}/to`)
    assert.equal(copied.referrers?.[0]?.digest, sbom.digest)
    assert.equal(copied.referrers[0].referrers?.[0]?.digest, found.referrers[0].referrers[0].digest)
    await getBlob(berth, `${name}/to`, sha256(Buffer.from('{"sbom":true}')))
  })

  story(`oras blob push, fetch, delete over ${transport} › 64 MiB`, async ({ berth, home }) => {
    const run = await prepare(berth, home)
    const bytes = randomBytesOf(`${name}-blob`, 64 << 20)
    await writeFile(home.path('blob.bin'), bytes)
    const digest = sha256(bytes)
    const repository = `${berth.host}/${name}/blob`
    await run('blob push', `${repository}@${digest}`, 'blob.bin')
    await getBlob(berth, `${name}/blob`, digest)
    await run('blob fetch', '--output', home.path('back.bin'), `${repository}@${digest}`)
    assert.ok((await readFile(home.path('back.bin'))).equals(bytes))
    await run('blob delete', '--force', `${repository}@${digest}`)
    await assert.rejects(run('blob fetch', '--output', home.path('gone.bin'), `${repository}@${digest}`), /not found/)
  })

  story(`oras manifest delete over ${transport} › the artifact and its tag are gone`, async ({ berth, home }) => {
    const run = await prepare(berth, home)
    await writeFile(home.path('file.txt'), name)
    const reference = `${berth.host}/${name}/gone:v1`
    await run('push', reference, 'file.txt')
    await run('manifest delete', '--force', reference)
    assert.deepEqual(await listTags(berth, `${name}/gone`), [])
    await assert.rejects(run('manifest fetch', reference), /not found/)
  })
}

story('oras › is refused with a wrong password and after logout', async ({ berth, home }) => {
  await pushImage(berth, 'oras-closed/image', 'v1', anImage('oras-closed'))
  const login = (password: string) => ['login', '-u', berth.username, '-p', password, berth.host]
  const fetch = ['manifest', 'fetch', `${berth.host}/oras-closed/image:v1`]
  assert.match((await home.runFailing(oras.path, login('wrong'))).output, /401|unauthorized/i)
  await home.run(oras.path, login(berth.password))
  await home.run(oras.path, fetch)
  await home.run(oras.path, ['logout', berth.host])
  assert.match((await home.runFailing(oras.path, fetch)).output, /401|unauthorized|credential/i)
})

interface Discovered {
  readonly digest: string
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly referrers?: readonly Discovered[]
}
