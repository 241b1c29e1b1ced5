/** A NUL character in a text: JSON and URLs can say it, PostgreSQL can keep none, so it is answered before it comes so far. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp } from '../../../test/app.ts'
import { aBlob, anImage, aReferrer, pushBlob, pushImage, putManifest } from '../../../test/images.ts'
import { errorOf } from '../../../test/wire.ts'

const subject = anImage({ seed: 'subject' })

describe('a NUL character', () => {
  test('in the artifact type or a media type of a manifest › 400 MANIFEST_INVALID', async () => {
    await using app = await startTestApp()
    const artifact = aReferrer(subject.manifest, { artifactType: 'application/a\0b' })
    const odd = anImage({ config: aBlob('{}', 'application/\0') })
    for (const { config, layers, manifest } of [artifact, odd]) {
      for (const blob of [config, ...layers]) await pushBlob(app, 'team/app', blob)
      const { detail } = await errorOf(await putManifest(app, 'team/app', manifest), 400, 'MANIFEST_INVALID')
      assert.match(String(detail), /must not hold a NUL character/)
    }
  })

  test('in annotations › kept, and given back as it was', async () => {
    await using app = await startTestApp()
    const annotations = { 'org.example.odd': 'a\0b' }
    await pushImage(app, 'team/app', aReferrer(subject.manifest, { fields: { annotations } }))
    const response = await app.fetch(`/v2/team/app/referrers/${subject.manifest.digest}`)
    const { manifests } = (await response.json()) as { manifests: { annotations: object }[] }
    assert.deepEqual(
      manifests.map((entry) => entry.annotations),
      [annotations],
    )
  })

  test("in an image's config › the image is as good as any", async () => {
    await using app = await startTestApp()
    const config = aBlob(JSON.stringify({ os: 'linux\0', architecture: 'amd64' }), subject.config.mediaType)
    await pushImage(app, 'team/app', anImage({ config }), 'v1')
    assert.equal((await app.fetch('/v2/team/app/manifests/v1')).status, 200)
  })

  test('in a query › what it can mean where no name has one', async () => {
    await using app = await startTestApp()
    await pushImage(app, 'team/app', subject, 'a', 'b')
    await pushImage(app, 'team/app', aReferrer(subject.manifest, { artifactType: 'application/x' }))
    const answer = async (path: string) => (await app.fetch(path)).json() as Promise<Record<string, unknown>>
    assert.deepEqual((await answer('/v2/_catalog?last=%00')).repositories, ['team/app'])
    assert.deepEqual((await answer('/v2/team/app/tags/list?last=a%00b')).tags, ['b'])
    const referrers = `/v2/team/app/referrers/${subject.manifest.digest}`
    assert.equal(((await answer(`${referrers}?last=%00`)).manifests as []).length, 1)
    assert.deepEqual((await answer(`${referrers}?artifactType=application/x%00`)).manifests, [])
    const mount = `/v2/other/app/blobs/uploads/?mount=${subject.config.digest}&from=team/app`
    assert.equal((await app.fetch(`${mount}%00`, { method: 'POST' })).status, 202)
    assert.equal((await app.fetch(mount, { method: 'POST' })).status, 201)
  })

  test('in a user name › 401 like any wrong one, and it counts', async () => {
    await using app = await startTestApp()
    const authorization = `Basic ${Buffer.from('berth\0:wrong').toString('base64')}`
    await errorOf(await app.fetch('/v2/', { headers: { authorization } }), 401, 'UNAUTHORIZED')
    const failures = await app.db.read((tables) => tables.selectFrom('login_failures').selectAll().execute())
    assert.equal(failures.length, 2)
    const form = {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'password', username: '\0', password: 'x' }),
    }
    await errorOf(await app.fetch('/oauth2/token', form), 401, 'UNAUTHORIZED')
  })
})
