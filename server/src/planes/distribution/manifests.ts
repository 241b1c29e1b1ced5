import { type Digest, isTag, manifestLimitBytes } from '@berth/oci'
import { Fault, isFault } from '../../base/fault.ts'
import { pull, push, remove } from '../../base/scope.ts'
import type { Manifests } from '../../core/registry/manifests.ts'
import { entityTag, notModified, preconditionFailed } from '../../http/conditional.ts'
import { empty } from '../../http/reply.ts'
import type { HttpRequest } from '../../http/request.ts'
import { type Route, route } from '../../http/route.ts'
import { unacceptable } from './accept.ts'

const path = '/v2/{repository}/manifests/{reference}'
/** Each becomes a header line of the answer, and many clients take 16 KiB of headers. */
const mostTags = 64

export const manifestRoutes = (registry: Manifests): Route[] => [
  route({
    methods: ['GET', 'HEAD'],
    path,
    needs: ({ repository }) => [pull(repository)],
    spec: 'OCI distribution-spec 1.1, "Pulling manifests"; content-negotiation.md; RFC 9110 §13',
    async handle({ repository, reference }, request) {
      const manifest = await registry.getManifest({ registry: request.registry, repository }, reference)
      const { digest, mediaType, bytes } = manifest
      const found = unacceptable(mediaType, request.headerValues('accept'))
      if (found !== undefined) throw new Fault('manifestNotAcceptable', { found })
      if (preconditionFailed(request.headers, digest)) throw new Fault('preconditionFailed', { current: digest })
      const headers = { 'Docker-Content-Digest': digest, ETag: entityTag(digest) }
      if (notModified(request.headers, digest)) return empty(304, headers)
      return { status: 200, headers: { 'Content-Type': mediaType, ...headers }, body: bytes }
    },
  }),
  route({
    methods: ['PUT'],
    path,
    needs: ({ repository }) => [push(repository)],
    spec: 'OCI distribution-spec 1.1, "Pushing Manifests", "Pushing Manifests with Subject"; tag parameters of 1.1+dev',
    async handle({ repository, reference }, request) {
      const tags = 'digest' in reference ? tagParameters(request.query) : []
      const bytes = await manifestBody(request)
      const { digest, subject } = await registry.putManifest(
        { registry: request.registry, repository },
        reference,
        request.headers['content-type'] ?? '',
        bytes,
        { tags, ...preconditionOf(request) },
      )
      return empty(201, {
        Location: `/v2/${repository}/manifests/${digest}`,
        'Docker-Content-Digest': digest,
        ...(subject === undefined ? {} : { 'OCI-Subject': subject }),
        ...(tags.length === 0 ? {} : { 'OCI-Tag': tags }),
      })
    },
  }),
  route({
    methods: ['DELETE'],
    path,
    needs: ({ repository }) => [remove(repository)],
    spec: 'OCI distribution-spec 1.1, "Deleting tags", "Deleting Manifests"',
    async handle({ repository, reference }, request) {
      await registry.deleteManifest({ registry: request.registry, repository }, reference)
      return empty(202)
    },
  }),
]

/** ACR: a manifest above 4 MiB is MANIFEST_INVALID, where the OCI text would have 413. */
async function manifestBody(request: HttpRequest): Promise<Buffer> {
  try {
    return await request.readBody(manifestLimitBytes)
  } catch (error) {
    if (!isFault(error, 'bodyTooLarge')) throw error
    throw new Fault('manifestInvalid', { reason: 'http: request body too large' }, { cause: error })
  }
}

function tagParameters(query: URLSearchParams): string[] {
  const tags = [...new Set(query.getAll('tag'))]
  if (tags.length > mostTags) throw new Fault('tooManyTags', { limit: mostTags })
  for (const tag of tags) if (!isTag(tag)) throw new Fault('tagInvalid', { value: tag })
  return tags
}

/** `If-Match` and `If-None-Match` guard a push against overwriting what the client has not seen (RFC 9110 §13.1). */
function preconditionOf({ headers }: HttpRequest): { precondition?: (current: Digest | undefined) => boolean } {
  if (headers['if-match'] === undefined && headers['if-none-match'] === undefined) return {}
  return {
    precondition: (current) =>
      current === undefined
        ? headers['if-match'] === undefined
        : !preconditionFailed(headers, current) && !notModified(headers, current),
  }
}
