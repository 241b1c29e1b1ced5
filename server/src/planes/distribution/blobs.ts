import { Fault } from '../../base/fault.ts'
import { pull, remove } from '../../base/scope.ts'
import type { Blob, Blobs } from '../../core/registry/blobs.ts'
import { entityTag, notModified, preconditionFailed, rangeAllowed } from '../../http/conditional.ts'
import { parseRange } from '../../http/range-header.ts'
import { empty, type Reply } from '../../http/reply.ts'
import type { HttpRequest } from '../../http/request.ts'
import { type Route, route } from '../../http/route.ts'

export const blobRoutes = (registry: Blobs): Route[] => [
  route({
    methods: ['GET', 'HEAD'],
    path: '/v2/{repository}/blobs/{digest}',
    needs: ({ repository }) => [pull(repository)],
    spec: 'OCI distribution-spec 1.1, "Pulling blobs"; RFC 9110 §13, §14',
    async handle({ repository, digest }, request) {
      const blob = await registry.getBlob({ registry: request.registry, repository }, digest)
      return blobReply(blob, request)
    },
  }),
  route({
    methods: ['DELETE'],
    path: '/v2/{repository}/blobs/{digest}',
    needs: ({ repository }) => [remove(repository)],
    spec: 'OCI distribution-spec 1.1, "Deleting Blobs"',
    async handle({ repository, digest }, request) {
      await registry.deleteBlob({ registry: request.registry, repository }, digest)
      return empty(202, { 'Docker-Content-Digest': digest })
    },
  }),
]

async function blobReply(blob: Blob, { method, headers }: HttpRequest): Promise<Reply> {
  const { digest, size } = blob
  if (preconditionFailed(headers, digest)) throw new Fault('preconditionFailed', { current: digest })
  const known = {
    'Docker-Content-Digest': digest,
    ETag: entityTag(digest),
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, max-age=31536000, immutable',
  }
  if (notModified(headers, digest)) return empty(304, known)
  const whole = { ...known, 'Content-Type': 'application/octet-stream' }
  if (method === 'HEAD') return { status: 200, headers: { ...whole, 'Content-Length': size } }
  const range = rangeAllowed(headers, digest) ? parseRange(headers.range, size) : 'whole'
  if (range === 'whole') {
    return { status: 200, headers: { ...whole, 'Content-Length': size }, body: await blob.read() }
  }
  if (range === 'unsatisfiable') throw new Fault('rangeUnsatisfiable', { digest, size })
  const part = {
    'Content-Length': range.end - range.start + 1,
    'Content-Range': `bytes ${range.start}-${range.end}/${size}`,
  }
  return { status: 206, headers: { ...whole, ...part }, body: await blob.read(range) }
}
