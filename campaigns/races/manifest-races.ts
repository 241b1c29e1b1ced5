/** Manifests and tags against deletions of what they are about. */
import { sha256 } from '../client.ts'
import type { Scenario } from './scenario.ts'
import {
  deleteOf,
  expectPair,
  imageOf,
  pushBlob,
  pushImage,
  putImage,
  putManifest,
  someBytes,
  together,
  wasTaken,
} from './stage.ts'

export const manifestRaces: readonly Scenario[] = [
  {
    title: 'a manifest against the deletion of its blob',
    async prepare(stage) {
      const { here, there, from, tally, ledger, collecting } = stage
      const layer = someBytes(stage)
      const image = imageOf(stage, layer)
      for (const blob of image.blobs) await pushBlob(stage, here, from, blob)
      return async () => {
        const [put, deleted] = await together(
          stage,
          () => putManifest(there, from, image),
          () => deleteOf(here, from, 'blobs', sha256(layer)),
        )
        const pairs = ['201 405', '400 202', ...(collecting ? ['400 404'] : [])]
        expectPair(stage, 'a manifest and the deletion of its blob', [put.status, deleted.status], pairs)
        if (!wasTaken(stage, put)) {
          tally.add('the deletion was before the manifest')
          ledger.isGone(from, image)
          return
        }
        tally.add('the manifest was before the deletion of its blob')
        ledger.mustBe(from, image)
      }
    },
  },
  {
    title: 'a push of a manifest against its own deletion',
    async prepare(stage) {
      const { here, there, from, ledger, tally, collecting } = stage
      const image = imageOf(stage, someBytes(stage))
      await pushImage(stage, here, from, image)
      return async () => {
        const [put, deleted] = await together(
          stage,
          () => putManifest(there, from, image, 'latest'),
          () => deleteOf(here, from, 'manifests', image.digest),
        )
        const pairs = ['201 202', ...(collecting ? ['400 202'] : [])]
        expectPair(stage, 'a manifest and its own deletion', [put.status, deleted.status], pairs)
        const tag = await there.ask('GET', `/v2/${from}/manifests/latest`)
        const isTagged = tag.status === 200 && sha256(tag.body) === image.digest
        if (isTagged) ledger.mustBe(from, image)
        else ledger.isGone(from, image)
        tally.add(isTagged ? 'the push was after the deletion' : 'the deletion was after the push')
      }
    },
  },
  {
    title: 'a tag against the deletion of what it names',
    async prepare(stage) {
      const { here, there, from, ledger, wrong } = stage
      const layer = someBytes(stage)
      const [old, next] = [imageOf(stage, layer), imageOf(stage, layer)]
      await pushImage(stage, here, from, old, 'moving')
      for (const blob of next.blobs) await pushBlob(stage, there, from, blob)
      return async () => {
        const [, deleted] = await together(
          stage,
          () => putImage(stage, there, from, next, 'moving'),
          () => deleteOf(here, from, 'manifests', old.digest),
        )
        if (deleted.status !== 202) wrong(`the deletion of a manifest was answered ${deleted.status}`)
        const tag = await here.ask('GET', `/v2/${from}/manifests/moving`)
        if (tag.status !== 200 || sha256(tag.body) !== next.digest) wrong(`the tag that was moved is ${tag.status}`)
        ledger.isGone(from, old)
        ledger.mustBe(from, next)
      }
    },
  },
  {
    title: 'two deletions of the same thing',
    async prepare(stage) {
      const { here, there, from, ledger } = stage
      const image = imageOf(stage, someBytes(stage))
      await pushImage(stage, here, from, image)
      return async () => {
        const both = await together(
          stage,
          () => deleteOf(here, from, 'manifests', image.digest),
          () => deleteOf(there, from, 'manifests', image.digest),
        )
        const statuses = both.map(({ status }) => status)
        expectPair(stage, 'two deletions of a manifest', statuses.toSorted(), ['202 404'])
        ledger.isGone(from, image)
      }
    },
  },
  {
    title: 'a referrer against the deletion of its subject',
    async prepare(stage) {
      const { here, there, from, ledger, wrong, tally } = stage
      const subject = imageOf(stage, someBytes(stage))
      const referrer = imageOf(stage, someBytes(stage), subject)
      await pushImage(stage, here, from, subject)
      for (const blob of referrer.blobs) await pushBlob(stage, there, from, blob)
      return async () => {
        const [, deleted] = await together(
          stage,
          () => putImage(stage, there, from, referrer),
          () => deleteOf(here, from, 'manifests', subject.digest),
        )
        if (deleted.status !== 202) wrong(`the deletion of a subject was answered ${deleted.status}`)
        ledger.isGone(from, subject)
        const { status } = await here.ask('HEAD', `/v2/${from}/manifests/${referrer.digest}`)
        if (status === 200) ledger.mustBe(from, referrer)
        else ledger.isGone(from, referrer)
        tally.add(status === 200 ? 'the referrer was after the deletion' : 'the referrer went with its subject')
      }
    },
  },
]
