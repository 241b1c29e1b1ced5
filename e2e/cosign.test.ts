import assert from 'node:assert/strict'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { anImage } from './images.ts'
import { getManifest, listReferrers, listTags, pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const cosign = client('cosign')
const story = storiesWith([cosign])

/** No transparency log and no certificates: a key pair is enough, and all of it works without a network. */
async function prepare(berth: Berth, home: Home) {
  const env = { COSIGN_PASSWORD: 'key', COSIGN_YES: 'true', COSIGN_EXPERIMENTAL: '1', SSL_CERT_FILE: berth.ca }
  const run = (...argumentList: readonly string[]) => home.run(cosign.path, argumentList, { env })
  await home.run(cosign.path, ['login', berth.host, '-u', berth.username, '--password-stdin'], {
    env,
    input: berth.password,
  })
  await run('generate-key-pair')
  const verification = (...argumentList: readonly string[]) => [
    ...['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog', '--private-infrastructure', ...argumentList],
  ]
  return {
    run,
    verify: async (...argumentList: readonly string[]) => {
      const { stdout } = await run(...verification(...argumentList))
      const [claim] = JSON.parse(stdout) as [{ critical: { image: { 'docker-manifest-digest': string } } }]
      return claim.critical.image['docker-manifest-digest']
    },
    verifyFailing: (...argumentList: readonly string[]) =>
      home.runFailing(cosign.path, verification(...argumentList), { env }),
  }
}

story('cosign sign and verify › with the signature under its tag', async ({ berth, home }) => {
  const { run, verify, verifyFailing } = await prepare(berth, home)
  const image = anImage('cosign-tag')
  await pushImage(berth, 'cosign/tag', 'v1', image)
  const { digest } = image.manifest.descriptor
  const reference = `${berth.host}/cosign/tag@${digest}`
  assert.match((await verifyFailing(reference)).output, /no signatures found/)
  await run('sign', '--key', 'cosign.key', '--tlog-upload=false', reference)
  assert.deepEqual(await listTags(berth, 'cosign/tag'), [`${digest.replace(':', '-')}.sig`, 'v1'])
  assert.equal(await verify(reference), digest)
  assert.equal(await verify(`${berth.host}/cosign/tag:v1`), digest)
})

story('cosign sign and verify › with the signature as a referrer', async ({ berth, home }) => {
  const { run, verify } = await prepare(berth, home)
  const image = anImage('cosign-referrer')
  await pushImage(berth, 'cosign/referrer', 'v1', image)
  const { digest } = image.manifest.descriptor
  const reference = `${berth.host}/cosign/referrer@${digest}`
  await run(
    ...['sign', '--key', 'cosign.key', '--tlog-upload=false', '--registry-referrers-mode', 'oci-1-1', reference],
  )
  const [signature] = await listReferrers(berth, 'cosign/referrer', digest)
  assert.equal(signature?.artifactType, 'application/vnd.dev.cosign.artifact.sig.v1+json')
  assert.equal((await getManifest(berth, 'cosign/referrer', signature.digest)).json.subject?.digest, digest)
  assert.deepEqual(await listTags(berth, 'cosign/referrer'), ['v1'])
  assert.equal(await verify('--experimental-oci11', reference), digest)
})

story(
  'cosign verify › fails for a tag that moved to an unsigned image, and for another key',
  async ({ berth, home }) => {
    const { run, verify, verifyFailing } = await prepare(berth, home)
    const signed = anImage('cosign-signed')
    await pushImage(berth, 'cosign/moved', 'v1', signed)
    const reference = `${berth.host}/cosign/moved:v1`
    await run(
      'sign',
      '--key',
      'cosign.key',
      '--tlog-upload=false',
      `${berth.host}/cosign/moved@${signed.manifest.descriptor.digest}`,
    )
    assert.equal(await verify(reference), signed.manifest.descriptor.digest)

    await pushImage(berth, 'cosign/moved', 'v1', anImage('cosign-tampered'))
    assert.match((await verifyFailing(reference)).output, /no signatures found/)

    await pushImage(berth, 'cosign/moved', 'v1', signed)
    await run('generate-key-pair', '--output-key-prefix', 'other')
    const { output } = await verifyFailing('--key', 'other.pub', reference)
    assert.match(output, /no matching signatures|invalid signature/)
  },
)
