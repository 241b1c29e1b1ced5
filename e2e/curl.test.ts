import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { anImage, hex } from './images.ts'
import { pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const curl = client('curl')
const story = storiesWith([curl])

/** The password goes through a file, as a careful user does it. */
async function prepare(berth: Berth, home: Home): Promise<readonly string[]> {
  await writeFile(home.path('netrc'), `machine localhost login ${berth.username} password ${berth.password}\n`)
  return ['--silent', '--show-error', '--fail-with-body', '--location', '--netrc-file', home.path('netrc')]
}

const transports: Record<string, (berth: Berth) => readonly [string, ...string[]]> = {
  'plain HTTP': () => ['http'],
  'TLS with --cacert': (berth) => ['https', '--cacert', berth.ca],
}

for (const [transport, of] of Object.entries(transports)) {
  story(`curl over ${transport} › reads manifest and layer, and a range of it`, async ({ berth, home }) => {
    const [scheme, ...trust] = of(berth)
    const flags = [...(await prepare(berth, home)), ...trust]
    const image = anImage('curl')
    const repository = `curl-${scheme}/image`
    await pushImage(berth, repository, 'v1', image)
    const get = (path: string, ...more: readonly string[]) =>
      home.run(curl.path, [...flags, ...more, `${scheme}://${berth.host}${path}`])

    const accept = ['-H', `Accept: ${image.manifest.descriptor.mediaType}`]
    const manifest = await get(`/v2/${repository}/manifests/v1`, ...accept)
    assert.equal(manifest.stdout, image.manifest.bytes.toString('utf8'))
    const head = await get(`/v2/${repository}/manifests/v1`, '--head', ...accept)
    assert.match(head.stdout, new RegExp(`^docker-content-digest: ${image.manifest.descriptor.digest}\r$`, 'im'))
    assert.match(head.stdout, new RegExp(`^content-length: ${image.manifest.bytes.length}\r$`, 'im'))

    const { bytes, descriptor } = image.layers[0]!
    await get(`/v2/${repository}/blobs/${descriptor.digest}`, '--output', home.path('layer'))
    const { stdout: sum } = await home.run('sha256sum', [home.path('layer')])
    assert.equal(sum.split(' ')[0], hex(descriptor.digest))
    await get(`/v2/${repository}/blobs/${descriptor.digest}`, '--range', '100-199', '--output', home.path('range'))
    const { stdout: range } = await home.run('od', ['-An', '-v', '-tx1', home.path('range')])
    assert.equal(range.replaceAll(/\s/g, ''), bytes.subarray(100, 200).toString('hex'))
  })
}

story('curl › the authority signed for localhost, and for nobody who does not trust it', async ({ berth, home }) => {
  const url = `https://${berth.host}/v2/`
  const untrusted = await home.runFailing(curl.path, ['--silent', '--show-error', url])
  assert.equal(untrusted.exitCode, 60, 'curl: certificate not trusted')
  const status = ['--silent', '--output', '/dev/null', '--write-out', '%{http_code} %{ssl_verify_result}']
  const anonymous = await home.run(curl.path, [...status, '--cacert', berth.ca, url])
  assert.equal(anonymous.stdout, '401 0')
  const wrong = await home.run(curl.path, [...status, '--cacert', berth.ca, '--user', `${berth.username}:wrong`, url])
  assert.equal(wrong.stdout, '401 0')
  const flags = await prepare(berth, home)
  const known = await home.run(curl.path, [...flags, ...status, '--cacert', berth.ca, url])
  assert.equal(known.stdout, '200 0')
})

story('curl › TLS below 1.2 is refused', async ({ berth, home }) => {
  const old = ['--silent', '--show-error', '--cacert', berth.ca, '--tls-max', '1.1', '--ciphers', 'DEFAULT:@SECLEVEL=0']
  const { output } = await home.runFailing(curl.path, [...old, `https://${berth.host}/v2/`])
  assert.match(output, /alert protocol version/, 'the server’s answer, not the client’s own refusal')
})
