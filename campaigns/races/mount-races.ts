/** Mounts from where the blob is going away. */
import { expectStatus, sha256 } from '../client.ts'
import { expectDeleted, type Scenario } from './scenario.ts'
import { deleteOf, imageOf, nameLayer, pushBlob, pushImage, type Stage, someBytes, together } from './stage.ts'

export const mountRaces: readonly Scenario[] = [
  {
    title: 'a mount against the deletion of its source',
    async prepare(stage) {
      const layer = someBytes(stage)
      await pushBlob(stage, stage.here, stage.from, layer)
      return () =>
        raceMount(stage, layer, true, async () => {
          expectDeleted(stage, (await deleteOf(stage.here, stage.from, 'blobs', sha256(layer))).status)
        })
    },
  },
  {
    title: 'a mount against the deletion of the manifest that holds its source',
    async prepare(stage) {
      const { here, from, ledger } = stage
      const layer = someBytes(stage)
      const holder = imageOf(stage, layer)
      await pushImage(stage, here, from, holder)
      return () =>
        raceMount(stage, layer, stage.collecting, async () => {
          expectStatus(await deleteOf(here, from, 'manifests', holder.digest), 202, 'the deletion of a manifest')
          ledger.isGone(from, holder)
        })
    },
  },
]

/** A mount, and a manifest that names what was mounted, against what takes the source away, or at least its manifest. */
async function raceMount(stage: Stage, layer: Buffer, sourceGoes: boolean, remove: () => Promise<void>): Promise<void> {
  const { there, from, to, tally, ledger, wrong, collecting } = stage
  const digest = sha256(layer)
  const image = imageOf(stage, layer)
  const mount = async () => {
    const reply = await there.ask('POST', `/v2/${to}/blobs/uploads/?mount=${digest}&from=${from}`)
    if (reply.status === 202) {
      if (!sourceGoes) wrong('a mount was not done, though its source is there')
      const { status } = await there.ask('HEAD', `/v2/${to}/blobs/${digest}`)
      if (status !== 404) wrong(`what was not mounted is ${status}`)
      tally.add('the deletion was before the mount')
      expectStatus(await there.ask('DELETE', String(reply.headers.location)), 204, 'the end of an unwanted upload')
      return
    }
    if (reply.status !== 201) throw new Error(`a mount was answered ${reply.status}`)
    tally.add('the mount was first')
    if (await nameLayer(stage, there, to, image)) ledger.mustBe(to, image)
    else if (!collecting) wrong('what was mounted is gone, though nobody deleted it')
    else tally.add('blobs collected under a mount')
  }
  await together(stage, mount, remove)
}
