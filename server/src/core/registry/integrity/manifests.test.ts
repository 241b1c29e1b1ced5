import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Digest, digestOf, mediaTypes } from '@berth/oci'
import { at } from '../../../../test/core.ts'
import {
  aBlob,
  aDocument,
  anImage,
  anIndex,
  aReferrer,
  aSignedSchema1,
  type Content,
  descriptorOf,
  foreignLayerType,
} from '../../../../test/images.ts'
import { brief, openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'

const image = anImage({ layers: 2, seed: 'm', fields: { annotations: { b: '2', a: '1' } } })
const { manifest } = image
const layer = image.layers[0] as Content

async function openWithImage(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  await core.pushImage('a', image, 'v1', 'latest')
  core.clock.advance(1_000)
  return core
}

/** Changes the row of a manifest behind everybody's back. */
const edit = (core: TestIntegrity, { digest }: Content, columns: object, repository = 1) =>
  core.db.write((tables) =>
    tables
      .updateTable('manifests')
      .set(columns)
      .where('digest', '=', digest)
      .where('repository_id', '=', repository)
      .execute(),
  )

const rowOf = (core: TestIntegrity, { digest }: Content) =>
  core.db.read((tables) => tables.selectFrom('manifests').where('digest', '=', digest).selectAll().executeTakeFirst())

const referencesOf = (core: TestIntegrity) =>
  core.db.read((tables) =>
    tables
      .selectFrom('manifest_references')
      .orderBy('manifest_id')
      .orderBy('role')
      .orderBy('digest')
      .selectAll()
      .execute(),
  )

const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte, index) => (index === 20 ? byte ^ 1 : byte)))

suite('a store that is whole', () => {
  test('has nothing wrong with any kind of manifest', async () => {
    await using core = await openTestIntegrity()
    const docker = anImage({ mediaType: mediaTypes.dockerManifest, seed: 'docker' })
    const sha512 = aDocument(mediaTypes.ociManifest, { ...JSON.parse(String(manifest.bytes)), annotations: { x: 'y' } })
    await core.pushImage('a', image, 'v1')
    await core.pushImage('a', docker)
    await core.putManifest('a', anIndex([manifest, docker.manifest], { fields: { annotations: { c: 'd' } } }), 'all')
    await core.pushImage('a', aReferrer(manifest, { artifactType: 'application/x' }))
    await core.pushImage('a', aReferrer(aBlob('not pushed yet'), { seed: 'early' }))
    await core.putManifest('a', aBlob(sha512.bytes, sha512.mediaType, 'sha512'))
    const empty = aBlob('{}', 'application/vnd.oci.empty.v1+json')
    const artifact = aDocument(mediaTypes.ociArtifactManifest, {
      mediaType: mediaTypes.ociArtifactManifest,
      artifactType: 'application/y',
      blobs: [descriptorOf(empty), descriptorOf(empty)],
    })
    await core.push('a', empty)
    await core.putManifest('a', artifact)
    await core.push('a', layer, layer)
    const old = aSignedSchema1([layer, layer])
    await core.putManifest('a', old, 'old')
    await core.registry.putManifest(at('a'), { digest: digestOf('sha256', old.bytes) }, old.mediaType, old.bytes)
    await core.registry.deleteManifest(at('a'), { tag: 'v1' })
    core.clock.advance(400 * 86_400_000)
    assert.deepEqual(await core.check(), [])
    assert.deepEqual(await core.check({ repair: true }), [])
    await core.collect()
    assert.deepEqual(await core.check(), [])
  })

  test('may name what it need not have: that is noted, and no problem', async () => {
    await using core = await openTestIntegrity()
    const foreign = {
      ...descriptorOf(aBlob('elsewhere')),
      mediaType: foreignLayerType,
      urls: ['https://example.com/l'],
    }
    const windows = anImage({
      mediaType: mediaTypes.dockerManifest,
      seed: 'windows',
      fields: { layers: [foreign, descriptorOf(layer)] },
    })
    await core.push('a', layer)
    await core.pushImage('a', windows, 'windows')
    await core.pushImage('a', image)
    const index = anIndex([manifest])
    await core.putManifest('a', index, 'all')
    await core.deleteManifest('a', manifest.digest)
    const findings = await core.check({ repair: true })
    assert.deepEqual(brief(findings), [
      `found foreign layers: ${windows.manifest.digest} in berth/a`,
      `found absent children: ${index.digest} in berth/a`,
    ])
    assert.equal(findings[1]?.detail, `child ${manifest.digest}; tagged all`)
  })

  test('with a sparse registry › lacks blobs as it may, but not those that are damaged', async () => {
    await using core = await openTestIntegrity()
    await core.db.write((tables) => tables.updateTable('registries').set({ sparse_manifests_enabled: 1 }).execute())
    await core.push('a', image.config, layer)
    await core.putManifest('a', manifest, 'v1')
    assert.deepEqual(brief(await core.check()), [`found sparse content: ${manifest.digest} in berth/a`])
    await core.flip(layer)
    assert.deepEqual(brief(await core.check({ repair: true })), [
      `repaired damaged blob: ${layer.digest} in berth/a`,
      `left missing content: ${manifest.digest} in berth/a`,
      `found sparse content: ${manifest.digest} in berth/a`,
    ])
  })
})

suite('a manifest', () => {
  test('whose bytes are damaged › takes those of another repository', async () => {
    await using core = await openWithImage()
    await core.pushImage('b', image, 'v1')
    await edit(core, manifest, { bytes: flipped(manifest.bytes) })
    const findings = await core.check()
    assert.deepEqual(brief(findings), [`found damaged manifest: ${manifest.digest} in berth/a`])
    assert.match(findings[0]?.detail ?? '', /^they are sha256:[0-9a-f]{64}; tagged latest, v1$/)
    const [repaired] = await core.check({ repair: true })
    assert.deepEqual(
      [repaired?.outcome, repaired?.done],
      ['repaired', 'it has the bytes of the same manifest in berth/b'],
    )
    assert.deepEqual(await core.check(), [])
    assert.deepEqual(Buffer.from((await rowOf(core, manifest))?.bytes ?? []), manifest.bytes)
  })

  test('whose bytes are damaged everywhere › goes with its tags, and a push brings all of it back', async () => {
    await using core = await openWithImage()
    const referrer = aReferrer(manifest)
    await core.pushImage('a', referrer)
    await core.putManifest('a', anIndex([manifest]), 'all')
    const before = await referencesOf(core)
    await edit(core, manifest, { bytes: flipped(manifest.bytes) })
    const findings = await core.check({ repair: true })
    assert.deepEqual(brief(findings), [`repaired damaged manifest: ${manifest.digest} in berth/a`])
    assert.equal(findings[0]?.done, 'it is removed with its tags latest, v1; push it again')
    await assert.rejects(core.registry.getManifest(at('a'), { tag: 'v1' }))
    await core.registry.getManifest(at('a'), { digest: referrer.manifest.digest })
    assert.deepEqual(brief(await core.check()), [`found absent children: ${anIndex([manifest]).digest} in berth/a`])
    await core.putManifest('a', manifest, 'v1')
    assert.deepEqual(await core.check(), [])
    assert.equal((await referencesOf(core)).length, before.length)
  })

  test('whose bytes are cut short or no JSON at all › is damaged too', async () => {
    for (const bytes of [manifest.bytes.subarray(0, 40), Buffer.alloc(0), Buffer.from('{"schemaVersion":1}')]) {
      await using core = await openWithImage()
      await edit(core, manifest, { bytes })
      assert.deepEqual(brief(await core.check({ repair: true })), [
        `repaired damaged manifest: ${manifest.digest} in berth/a`,
      ])
      assert.deepEqual(await core.check(), [])
    }
  })

  test('under another digest than its own › is damaged, signed or not', async () => {
    await using core = await openTestIntegrity()
    const old = aSignedSchema1([layer])
    await core.push('a', layer)
    await core.putManifest('a', old, 'old')
    const other = aBlob('another').digest
    await edit(core, old, { digest: other })
    assert.deepEqual(brief(await core.check()), [`found damaged manifest: ${other} in berth/a`])
  })

  test('whose row says something else than its bytes › is worked out anew, column by column', async () => {
    const lies = {
      media_type: mediaTypes.ociIndex,
      size: 5,
      image_size: 5,
      artifact_type: 'application/lie',
      config_media_type: null,
      subject_digest: aBlob('no subject').digest,
      annotations: '{"a":"1"}',
      architecture: 's390x',
      os: null,
    }
    for (const [column, lie] of Object.entries(lies)) {
      await using core = await openWithImage()
      const before = await rowOf(core, manifest)
      await edit(core, manifest, { [column]: lie })
      const findings = await core.check()
      const told = `wrong manifest row: ${manifest.digest} in berth/a`
      assert.equal(brief(findings)[0], `found ${told}`, column)
      const named = /architecture|os/.test(column) ? 'the platform is ' : `${column} is `
      assert.ok(findings[0]?.detail.startsWith(named), column)
      assert.equal(brief(await core.check({ repair: true }))[0], `repaired ${told}`)
      assert.deepEqual(await rowOf(core, manifest), before)
      assert.deepEqual(await core.check(), [], column)
    }
  })

  test('whose references are wrong › gets those of its bytes, and the collection goes by them', async () => {
    await using core = await openWithImage()
    const unused = aBlob('unused')
    await core.push('a', unused)
    const before = await referencesOf(core)
    // The links are queued as the wrong references say.
    await core.db.write(async (tables) => {
      await tables.deleteFrom('manifest_references').where('digest', '=', layer.digest).execute()
      await tables
        .updateTable('manifest_references')
        .set({ repository_id: 77 })
        .where('digest', '=', image.config.digest)
        .execute()
      await tables
        .insertInto('manifest_references')
        .values([
          { manifest_id: 1, repository_id: 1, role: 'layer', digest: unused.digest },
          { manifest_id: 1, repository_id: 1, role: 'child', digest: aBlob('nowhere').digest },
        ])
        .execute()
      const now = new Date(core.clock.now()).toISOString()
      const queue = (unused_since: string | null, ...digests: string[]) =>
        tables.updateTable('repository_blobs').set({ unused_since }).where('digest', 'in', digests).execute()
      await queue(now, layer.digest, image.config.digest)
      await queue(null, unused.digest)
    })
    const told = `wrong manifest row: ${manifest.digest} in berth/a`
    const [finding, ...others] = await core.check()
    assert.deepEqual([brief(finding ? [finding] : []), others], [[`found ${told}`], []])
    const absent = /^2 references are not noted, such as .*, 2 references are noted that it does not have, such as /
    assert.match(finding?.detail ?? '', absent)
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired ${told}`])
    assert.deepEqual(await core.check(), [])
    assert.deepEqual(await referencesOf(core), before)
    core.clock.advance(400 * 86_400_000)
    await core.collect()
    assert.deepEqual([await core.has('a', layer), await core.has('a', unused)], [true, false])
  })

  test('that is damaged and lacks content, too › both is told once it can be seen', async () => {
    await using core = await openWithImage()
    await core.pushImage('b', image, 'v1')
    await edit(core, manifest, { bytes: flipped(manifest.bytes) })
    await core.db.write((tables) =>
      tables.deleteFrom('repository_blobs').where('repository_id', '=', 1).where('digest', '=', layer.digest).execute(),
    )
    assert.deepEqual(brief(await core.check({ repair: true })).slice(0, 2), [
      `repaired damaged manifest: ${manifest.digest} in berth/a`,
      `left missing content: ${manifest.digest} in berth/a`,
    ])
  })

  test('of a format that this version does not know › is told, and stays', async () => {
    await using core = await openWithImage()
    const strange = aBlob('{"schemaVersion":3}', 'application/vnd.example.manifest.v3+json')
    await edit(core, manifest, {
      digest: strange.digest,
      bytes: strange.bytes,
      size: strange.bytes.length,
      media_type: strange.mediaType,
    })
    const findings = brief(await core.check({ repair: true }))
    assert.equal(findings[0], `left unreadable manifest: ${strange.digest} in berth/a`)
    assert.ok(await rowOf(core, strange))
  })

  test('that is not queued although nothing needs it › is queued', async () => {
    await using core = await openTestIntegrity()
    await core.pushImage('a', image)
    await core.db.write((tables) => tables.deleteFrom('unneeded_manifests').execute())
    assert.deepEqual(brief(await core.check()), [`found unqueued manifest: ${manifest.digest} in berth/a`])
    assert.deepEqual(brief(await core.check({ repair: true })), [
      `repaired unqueued manifest: ${manifest.digest} in berth/a`,
    ])
    assert.deepEqual(await core.check(), [])
    core.clock.advance(1)
    const gone = await core.collect({ untaggedMs: 0 })
    assert.equal(gone[0]?.name, manifest.digest)
  })

  test('that goes with its subject, a little later › is nothing to tell', async () => {
    await using core = await openTestIntegrity()
    await core.pushImage('a', image)
    const referrer = aReferrer(manifest).manifest
    await core.pushImage('a', aReferrer(manifest))
    await core.db.write(async (tables) => {
      const digest = aBlob('a subject that has just been deleted').digest
      await tables
        .updateTable('manifests')
        .set({ subject_digest: digest })
        .where('digest', '=', referrer.digest)
        .execute()
      await tables.insertInto('deleted_subjects').values({ repository_id: 1, digest, newest_referrer_id: 2 }).execute()
    })
    const kinds = (await core.check()).map(({ kind }) => kind)
    assert.deepEqual(kinds, ['wrong manifest row'], 'for its bytes name another subject, but not as unqueued')
  })

  test('that names blobs without links › is told with the first of them', async () => {
    await using core = await openWithImage()
    await core.db.write((tables) =>
      tables.deleteFrom('repository_blobs').where('digest', '!=', image.config.digest).execute(),
    )
    const findings = await core.check({ repair: true })
    assert.equal(brief(findings)[2], `left missing content: ${manifest.digest} in berth/a`)
    const names = image.layers.map(({ digest }) => `layer ${digest}`).sort()
    assert.equal(findings[2]?.detail, `${names.join(', ')}; tagged latest, v1`)
  })
})

suite('a tag', () => {
  const point = (core: TestIntegrity, manifestId: number) =>
    core.db.write((tables) =>
      tables
        .updateTable('tags')
        .set({ manifest_id: manifestId })
        .where('repository_id', '=', 1)
        .where('name', '=', 'v1')
        .execute(),
    )
  const namedBy = async (core: TestIntegrity) =>
    (await core.registry.getManifest(at('a'), { tag: 'v1' })).digest as Digest | undefined

  test("that names another repository's manifest › names its own repository's", async () => {
    await using core = await openWithImage()
    await core.pushImage('b', image, 'v1')
    await core.db.write((tables) => tables.deleteFrom('tags').where('repository_id', '=', 2).execute())
    await point(core, 2)
    const told = 'misplaced tag: v1 in berth/a'
    const findings = await core.check()
    assert.deepEqual(brief(findings), [`found ${told}`])
    assert.equal(findings[0]?.detail, `it names ${manifest.digest} of b`)
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired ${told}`])
    assert.deepEqual(await core.check(), [])
    assert.equal(await namedBy(core), manifest.digest)
    core.clock.advance(1)
    const gone = await core.collect({ untaggedMs: 0 })
    assert.deepEqual(gone[0]?.repository, 'berth/b', 'what it named is not needed any more')
  })

  test('that names a manifest which its repository does not have › is removed', async () => {
    await using core = await openWithImage()
    const other = anImage({ seed: 'other' })
    await core.pushImage('b', other, 'v1')
    await point(core, 2)
    const [finding] = await core.check({ repair: true })
    assert.deepEqual([finding?.outcome, finding?.done], ['repaired', 'it is removed'])
    assert.deepEqual(await core.check(), [])
    await assert.rejects(namedBy(core))
    assert.equal((await core.registry.getManifest(at('b'), { tag: 'v1' })).digest, other.manifest.digest)
  })
})
