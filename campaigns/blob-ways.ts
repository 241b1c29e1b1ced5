/** The ways in which a blob can be pushed; in each, the last byte of the last request waits, so that rivals end together. */
import { type Client, expectStatus, type Reply } from './client.ts'

export interface RivalBlob {
  readonly repository: string
  readonly digest: string
  readonly bytes: Buffer
  /** When to send the last byte. */
  readonly go: Promise<unknown>
}

/** Resolves with the last answer. `ready` is called when only the last byte is missing. */
type BlobWay = (client: Client, blob: RivalBlob, ready: () => void) => Promise<Reply>

export const blobWays: Readonly<Record<string, BlobWay>> = {
  'one POST': async (client, { repository, digest, bytes, go }, ready) => {
    ready()
    const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`
    return client.ask('POST', path, { body: bytes, lastByteAfter: go })
  },
  'POST then PUT': async (client, { repository, digest, bytes, go }, ready) => {
    const location = await begin(client, repository)
    ready()
    return client.ask('PUT', `${location}?digest=${digest}`, { body: bytes, lastByteAfter: go })
  },
  'PATCH, then a PUT with the last byte': async (client, { repository, digest, bytes, go }, ready) => {
    const location = await begin(client, repository)
    const patched = await client.ask('PATCH', location, { body: bytes.subarray(0, -1) })
    expectStatus(patched, 202, `PATCH ${location}`)
    ready()
    await go
    return client.ask('PUT', `${location}?digest=${digest}`, { body: bytes.subarray(-1) })
  },
  'PATCH with everything, then an empty PUT': async (client, { repository, digest, bytes, go }, ready) => {
    const location = await begin(client, repository)
    expectStatus(await client.ask('PATCH', location, { body: bytes }), 202, `PATCH ${location}`)
    ready()
    await go
    return client.ask('PUT', `${location}?digest=${digest}`)
  },
}

export async function begin(client: Client, repository: string): Promise<string> {
  const path = `/v2/${repository}/blobs/uploads/`
  return String(expectStatus(await client.ask('POST', path), 202, `POST ${path}`).headers.location)
}
