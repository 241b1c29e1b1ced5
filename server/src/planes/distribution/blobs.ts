import type { Digest } from '@berth/oci'
import { Fault } from '../../base/fault.ts'
import { pull, remove } from '../../base/scope.ts'
import type { Blob } from '../../core/registry/blob-lookup.ts'
import type { Blobs } from '../../core/registry/blobs.ts'
import { splitAuthority } from '../../http/authority.ts'
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
      const place = { registry: request.registry, repository }
      const blob = await (request.method === 'HEAD'
        ? registry.statBlob(place, digest)
        : registry.getBlob(place, digest))
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

async function blobReply(blob: Blob, request: HttpRequest): Promise<Reply> {
  const { method, headers } = request
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
  if (range === 'unsatisfiable') throw new Fault('rangeUnsatisfiable', { digest, size })
  const link = mayRedirect(blob, request) ? await blob.link?.() : undefined
  if (link !== undefined && !keepsCredentials(link, request)) return redirect(link, digest)
  if (range === 'whole') {
    return { status: 200, headers: { ...whole, 'Content-Length': size }, body: await blob.read() }
  }
  const part = {
    'Content-Length': range.end - range.start + 1,
    'Content-Range': `bytes ${range.start}-${range.end}/${size}`,
  }
  return { status: 206, headers: { ...whole, ...part }, body: await blob.read(range) }
}

/** Below that, one more connection takes a client longer than the bytes; and they are in our memory as a rule. */
const redirectedBytes = 64 * 1024

/** The condition would go along, and the store knows our entity tags as little as we know its own. */
function mayRedirect({ size }: Blob, { headers }: HttpRequest): boolean {
  return size > redirectedBytes && headers['if-match'] === undefined
}

/**
 * Clients take their `Authorization` along to the same host, whatever its port, and to those below it (Go's net/http does); with
 * a second credential beside the link's, the store would refuse them.
 */
function keepsCredentials(link: URL, { authority }: HttpRequest): boolean {
  const { host } = splitAuthority(authority)
  return link.hostname === host || link.hostname.endsWith(`.${host}`)
}

/** ACR: the same status, type and body. The client asks there anew, with its `Range`. */
function redirect(link: URL, digest: Digest): Reply {
  const headers = {
    Location: link.href,
    'Docker-Content-Digest': digest,
    'Cache-Control': 'no-store',
    'Content-Type': 'text/html; charset=utf-8',
  }
  return { status: 307, headers, body: `<a href="${link.href.replaceAll('&', '&amp;')}">Temporary Redirect</a>.\n\n` }
}
