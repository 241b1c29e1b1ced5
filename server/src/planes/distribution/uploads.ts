import { type Digest, isRepositoryName, parseDigest } from '@berth/oci'
import { Fault } from '../../base/fault.ts'
import { push } from '../../base/scope.ts'
import type { Blobs } from '../../core/registry/blobs.ts'
import type { Chunk, Uploads } from '../../core/registry/uploads.ts'
import { parseContentRange } from '../../http/range-header.ts'
import { empty, type Reply } from '../../http/reply.ts'
import type { AuthorizedRequest, HttpRequest } from '../../http/request.ts'
import { type Route, route } from '../../http/route.ts'
import { uploadHeaders } from './upload-headers.ts'

const sessionPath = '/v2/{repository}/blobs/uploads/{session}'

export const uploadRoutes = (registry: Uploads & Blobs): Route[] => [
  ...(['/v2/{repository}/blobs/uploads/', '/v2/{repository}/blobs/uploads'] as const).map((path) =>
    route({
      methods: ['POST'],
      path,
      needs: ({ repository }) => [push(repository)],
      spec: 'OCI distribution-spec 1.1, "Pushing blobs", "Single POST", "Mounting a blob from another repository"',
      handle: ({ repository }, request) => begin(registry, repository, request),
    }),
  ),
  route({
    methods: ['PATCH'],
    path: sessionPath,
    needs: ({ repository }) => [push(repository)],
    spec: 'OCI distribution-spec 1.1, "Pushing a blob in chunks"',
    async handle({ repository, session }, request) {
      const place = { registry: request.registry, repository }
      const { offset } = await registry.appendToUpload(place, session, chunkOf(request))
      return empty(202, uploadHeaders(locationOf(repository, session), session, offset))
    },
  }),
  route({
    methods: ['PUT'],
    path: sessionPath,
    needs: ({ repository }) => [push(repository)],
    spec: 'OCI distribution-spec 1.1, "POST then PUT", "Pushing a blob in chunks"',
    async handle({ repository, session }, request) {
      const place = { registry: request.registry, repository }
      const digest = digestParameter(request.query.get('digest'))
      await registry.finishUpload(place, session, digest, hasBody(request) ? chunkOf(request) : undefined)
      return created(repository, digest)
    },
  }),
  route({
    methods: ['GET', 'HEAD'],
    path: sessionPath,
    needs: ({ repository }) => [push(repository)],
    spec: 'OCI distribution-spec 1.1, "Pushing a blob in chunks" (status)',
    async handle({ repository, session }, request) {
      const { offset } = await registry.getUpload({ registry: request.registry, repository }, session)
      return empty(204, uploadHeaders(locationOf(repository, session), session, offset))
    },
  }),
  route({
    methods: ['DELETE'],
    path: sessionPath,
    needs: ({ repository }) => [push(repository)],
    spec: 'OCI distribution-spec 1.1, "Cancel a blob upload"',
    async handle({ repository, session }, request) {
      await registry.cancelUpload({ registry: request.registry, repository }, session)
      return empty(204)
    },
  }),
]

async function begin(registry: Uploads & Blobs, repository: string, request: AuthorizedRequest): Promise<Reply> {
  const place = { registry: request.registry, repository }
  const { query } = request
  const mount = query.get('mount')
  if (mount !== null) {
    // A mount that cannot be done is never refused: the client falls back to an upload, where a refusal would end its push.
    const from = query.get('from') || undefined
    const digest = parseDigest(mount)
    const mayPull = (source: string) => request.caller.mayMountFrom(source)
    const isPossible = digest !== undefined && (from === undefined || isRepositoryName(from))
    if (isPossible && (await registry.mountBlob(place, digest, from, mayPull))) return created(repository, digest)
  } else if (query.has('digest')) {
    const digest = digestParameter(query.get('digest'))
    await registry.pushBlob(place, digest, request.body())
    return created(repository, digest)
  }
  const algorithm = query.get('digest-algorithm')
  if (algorithm !== null && algorithm !== 'sha256' && algorithm !== 'sha512') {
    throw new Fault('digestInvalid', { value: algorithm })
  }
  const { session } = await registry.startUpload(place)
  return empty(202, uploadHeaders(locationOf(repository, session), session, 0))
}

const locationOf = (repository: string, session: string) => `/v2/${repository}/blobs/uploads/${session}`

function created(repository: string, digest: Digest): Reply {
  return empty(201, { Location: `/v2/${repository}/blobs/${digest}`, 'Docker-Content-Digest': digest })
}

function digestParameter(text: string | null): Digest {
  const digest = parseDigest(text ?? '')
  if (digest === undefined) throw new Fault('digestInvalid', { value: text ?? '' })
  return digest
}

function hasBody(request: HttpRequest): boolean {
  return request.contentLength === undefined
    ? request.headers['transfer-encoding'] !== undefined
    : request.contentLength > 0 || request.headers['content-range'] !== undefined
}

function chunkOf(request: HttpRequest): Chunk {
  const header = request.headers['content-range']
  if (header === undefined) return { bytes: request.body() }
  const range = parseContentRange(header)
  if (range === undefined) throw new Fault('rangeInvalid', { value: header })
  return { bytes: request.body(), range, announcedBytes: request.contentLength }
}
