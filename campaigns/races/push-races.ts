/** Pushes of bytes that are going away elsewhere. */
import { sha256 } from '../client.ts'
import { expectDeleted, type Scenario } from './scenario.ts'
import { deleteOf, imageOf, pushBlob, pushImage, someBytes, together } from './stage.ts'

export const pushRaces: readonly Scenario[] = [
  {
    title: 'a push against the deletion of the last link',
    async prepare(stage) {
      const { here, there, from, to, ledger } = stage
      const layer = someBytes(stage)
      const image = imageOf(stage, layer)
      await pushBlob(stage, here, from, layer)
      return async () => {
        const [deleted] = await together(
          stage,
          () => deleteOf(here, from, 'blobs', sha256(layer)),
          () => pushImage(stage, there, to, image),
        )
        expectDeleted(stage, deleted.status)
        ledger.mustBe(to, image)
      }
    },
  },
  {
    title: 'a push of what nobody links any more',
    async prepare(stage) {
      const { here, there, from, to, ledger } = stage
      const layer = someBytes(stage)
      const image = imageOf(stage, layer)
      await pushBlob(stage, here, from, layer)
      expectDeleted(stage, (await deleteOf(here, from, 'blobs', sha256(layer))).status)
      return async () => {
        await pushImage(stage, there, to, image)
        ledger.mustBe(to, image)
      }
    },
  },
  {
    title: 'a push of the same bytes in two repositories',
    async prepare(stage) {
      const { here, there, from, to, ledger, random, popular } = stage
      const layer = random.pick(popular)
      const [one, two] = [imageOf(stage, layer), imageOf(stage, layer)]
      return async () => {
        await together(
          stage,
          () => pushImage(stage, here, from, one),
          () => pushImage(stage, there, to, two),
        )
        ledger.mustBe(from, one)
        ledger.mustBe(to, two)
        // So that the bytes become garbage, and are pushed again, many times.
        for (const [client, repository, image] of [
          [here, from, one],
          [there, to, two],
        ] as const) {
          const { status } = await deleteOf(client, repository, 'manifests', image.digest)
          if (status === 202) ledger.isGone(repository, image)
          else stage.wrong(`the deletion of a manifest that is there was answered ${status}`)
        }
      }
    },
  },
]
