/** What is in the server before the campaign begins, and which credentials the generated requests carry. */
import { randomBytes } from 'node:crypto'
import {
  basic,
  bearer,
  type Client,
  createClient,
  expectStatus,
  fetchToken,
  pushBlob,
  pushManifest,
} from '../client.ts'

/** A server under test, in this process or the real program. */
export interface Target {
  readonly port: number
  /** `localhost:<port>`. */
  readonly host: string
  readonly username: string
  readonly password: string
  /** PEM; undefined where the server speaks no TLS. */
  readonly ca: string | undefined
}

export interface Contents {
  readonly repository: string
  readonly blob: string
  readonly blobBytes: Buffer
  readonly config: string
  readonly manifest: string
  readonly manifestBytes: Buffer
  readonly tag: string
}

export interface World {
  readonly host: string
  /** The repository that the requests' credentials are good for. */
  readonly a: Contents
  /** Somebody else's; `canary` is in its blob, its config, its manifest and nowhere else. */
  readonly b: Contents
  readonly canary: string
  /** Pull, push and delete on A, and nothing on B: not even to mount from it. */
  readonly tokenA: string
  /** Pull on A only. */
  readonly tokenPullA: string
  /** Everything, the catalog too. */
  readonly tokenAdmin: string
  readonly username: string
  readonly password: string
  /** The path of an upload session of A with nothing in it, or with `seeded` bytes. Each is given out once. */
  takeSession(): string
}

export interface PreparedWorld extends World {
  readonly admin: Client
  /** Makes sessions until so many are in store. */
  prepareSessions(count: number): Promise<void>
}

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
export const ociIndex = 'application/vnd.oci.image.index.v1+json'
export const nullGuid = '00000000-0000-0000-0000-000000000000'

export async function prepareWorld(target: Target): Promise<PreparedWorld> {
  const admin = createClient(target.port, basic(target.username, target.password))
  const canary = `canary-${randomBytes(24).toString('hex')}`
  const a = await fill(admin, 'fuzz/a', randomBytes(200_000), 'v1', 'nothing special')
  const b = await fill(admin, 'secret/b', Buffer.from(`${canary} `.repeat(2000)), 'v1', canary)
  const wide = await fetchToken(admin, target.host, ['repository:fuzz/a:pull,push,delete,metadata_read'])
  // A token that was made from a token for A reaches no further than A; the admin's own may mount from everywhere.
  const holder = admin.as(basic(nullGuid, wide))
  const tokenA = await fetchToken(holder, target.host, ['repository:fuzz/a:pull,push,delete,metadata_read'])
  const tokenPullA = await fetchToken(holder, target.host, ['repository:fuzz/a:pull'])
  const tokenAdmin = await fetchToken(admin, target.host, ['repository:fuzz/a:*', 'registry:catalog:*'])
  const pusher = admin.as(bearer(tokenA))
  const sessions: string[] = []
  return {
    ...{ host: target.host, username: target.username, password: target.password },
    ...{ a, b, canary, tokenA, tokenPullA, tokenAdmin, admin },
    takeSession() {
      const session = sessions.pop()
      if (session === undefined) throw new Error('no upload session is left; prepare more')
      return session
    },
    async prepareSessions(count) {
      while (sessions.length < count) {
        const missing = Math.min(16, count - sessions.length)
        const replies = await Promise.all(
          Array.from({ length: missing }, () => pusher.ask('POST', `/v2/${a.repository}/blobs/uploads/`)),
        )
        for (const reply of replies) {
          expectStatus(reply, 202, 'start of an upload')
          sessions.push(String(reply.headers.location))
        }
      }
    },
  }
}

/** An image of one layer, whose config and manifest carry the note. */
export async function fill(
  client: Client,
  repository: string,
  blobBytes: Buffer,
  tag: string,
  note: string,
): Promise<Contents> {
  const configBytes = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', author: note }))
  const config = await pushBlob(client, repository, configBytes)
  const blob = await pushBlob(client, repository, blobBytes)
  const { digest, bytes } = await pushManifest(client, repository, tag, {
    ...{ schemaVersion: 2, mediaType: ociManifest },
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: configBytes.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: blob, size: blobBytes.length }],
    annotations: { note },
  } as { mediaType: string })
  return { repository, blob, blobBytes, config, manifest: digest, manifestBytes: bytes, tag }
}
