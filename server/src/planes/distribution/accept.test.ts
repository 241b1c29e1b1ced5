import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { mediaTypes } from '@berth/oci'
import { startTestApp } from '../../../test/app.ts'
import { aDocument, anImage, anIndex, pushImage, pushManifest } from '../../../test/images.ts'
import { rawRequest } from '../../../test/wire.ts'
import { unacceptable } from './accept.ts'

const docker = mediaTypes.dockerManifest

describe('Accept', () => {
  for (const [what, accept] of [
    ['no header', []],
    ['an empty header', ['']],
    ['its own type', [mediaTypes.ociIndex]],
    ['its own type among others on one line', [`${docker}, ${mediaTypes.ociIndex};q=0.1`]],
    ['its own type on a line of its own', [docker, mediaTypes.ociIndex]],
    ['capitals', [mediaTypes.ociIndex.toUpperCase()]],
    ['a wildcard with a weight', ['text/html, */*;q=0.1']],
    ['a wildcard of the kind', ['application/*']],
    ["az's own list, which lacks indexes", [`*/*, ${mediaTypes.ociArtifactManifest}, ${mediaTypes.ociManifest}`]],
  ] as const) {
    test(`an OCI index is served for ${what}`, () => {
      assert.equal(unacceptable(mediaTypes.ociIndex, accept), undefined)
    })
  }

  for (const [mediaType, family] of [
    [mediaTypes.ociManifest, 'manifest'],
    [mediaTypes.ociIndex, 'index'],
    [mediaTypes.ociArtifactManifest, 'artifact'],
    [mediaTypes.orasArtifactManifest, 'artifact'],
  ] as const) {
    test(`${mediaType} is withheld from a client that names others only`, () => {
      const others = Object.values(mediaTypes).filter((type) => type !== mediaType)
      assert.equal(unacceptable(mediaType, [others.join(',')]), family)
      assert.equal(unacceptable(mediaType, ['text/*']), family)
    })
  }

  for (const mediaType of [
    mediaTypes.dockerManifest,
    mediaTypes.dockerManifestList,
    mediaTypes.dockerSchema1,
    mediaTypes.dockerSchema1Signed,
  ]) {
    test(`${mediaType} is served whatever the client names`, () => {
      assert.equal(unacceptable(mediaType, ['text/html']), undefined)
    })
  }

  test('GET manifest › 404 MANIFEST_UNKNOWN in the words that clients know', async () => {
    await using app = await startTestApp()
    const image = anImage()
    const artifact = aDocument(mediaTypes.ociArtifactManifest, { mediaType: mediaTypes.ociArtifactManifest })
    await pushImage(app, 'team/app', image, 'image')
    await pushManifest(app, 'team/app', anIndex([image.manifest]), 'index')
    await pushManifest(app, 'team/app', artifact, 'artifact')
    for (const [tag, message] of [
      ['image', 'OCI manifest found, but accept header does not support OCI manifests'],
      ['index', 'OCI index found, but accept header does not support OCI indexes'],
      ['artifact', 'OCI artifact found, but accept header does not support OCI artifacts'],
    ]) {
      const path = `/v2/team/app/manifests/${tag}`
      const headers = { authorization: app.admin, accept: docker }
      const answer = await rawRequest(app, path, { headers })
      assert.equal(answer.status, 404)
      assert.deepEqual(JSON.parse(answer.body.toString()), { errors: [{ code: 'MANIFEST_UNKNOWN', message }] })
      assert.equal((await rawRequest(app, path, { method: 'HEAD', headers })).status, 404)
      const none = await rawRequest(app, path, { headers: { authorization: app.admin } })
      assert.equal(none.status, 200)
    }
  })

  test('GET manifest › all lines of a repeated header count', async () => {
    await using app = await startTestApp()
    await pushImage(app, 'team/app', anImage(), 'image')
    const headers = {
      authorization: app.admin,
      accept: [docker, mediaTypes.dockerManifestList, mediaTypes.ociManifest],
    }
    assert.equal((await rawRequest(app, '/v2/team/app/manifests/image', { headers })).status, 200)
  })
})
