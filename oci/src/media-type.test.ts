import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isForeignLayerType, withoutParameters } from './media-type.ts'

describe('media type', () => {
  test('Docker foreign layers and OCI non-distributable layers are foreign', () => {
    const oci = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
    for (const type of [
      oci,
      `${oci}+gzip`,
      `${oci}+zstd`,
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    ]) {
      assert.ok(isForeignLayerType(type), type)
    }
    assert.equal(isForeignLayerType('application/vnd.oci.image.layer.v1.tar+gzip'), false)
  })

  for (const [contentType, type] of [
    ['text/plain', 'text/plain'],
    [' Text/HTML ; charset=utf-8; q=1', 'text/html'],
    ['a/b;', 'a/b'],
    [';charset=utf-8', ''],
    ['', ''],
  ] as const) {
    test(`the content type ${JSON.stringify(contentType)} without parameters is ${JSON.stringify(type)}`, () => {
      assert.equal(withoutParameters(contentType), type)
    })
  }
})
