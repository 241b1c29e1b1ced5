import { mediaTypes } from '@berth/oci'
import { listRepositories, pull, readMetadata } from '../../base/scope.ts'
import type { Listings } from '../../core/registry/listings.ts'
import { nextLink } from '../../http/link-header.ts'
import { pageOf } from '../../http/page.ts'
import { json } from '../../http/reply.ts'
import { type Route, route } from '../../http/route.ts'

export const listRoutes = (registry: Listings): Route[] => [
  route({
    methods: ['GET'],
    path: '/v2/_catalog',
    needs: () => [listRepositories],
    spec: 'Docker Registry HTTP API V2, "Listing Repositories"',
    async handle(_, request) {
      const page = pageOf(request.query)
      const { entries, hasMore } = await registry.listRepositories(request.registry, page)
      return json(200, { repositories: entries }, linkTo('/v2/_catalog', hasMore, entries.at(-1), page.limit))
    },
  }),
  route({
    methods: ['GET'],
    path: '/v2/{repository}/tags/list',
    needs: ({ repository }) => [readMetadata(repository)],
    spec: 'OCI distribution-spec 1.1, "Listing Tags"',
    async handle({ repository }, request) {
      const page = pageOf(request.query)
      const { entries, hasMore } = await registry.listTags({ registry: request.registry, repository }, page)
      const link = linkTo(`/v2/${repository}/tags/list`, hasMore, entries.at(-1), page.limit)
      return json(200, { name: repository, tags: entries }, link)
    },
  }),
  route({
    methods: ['GET'],
    path: '/v2/{repository}/referrers/{digest}',
    needs: ({ repository }) => [pull(repository)],
    spec: 'OCI distribution-spec 1.1, "Listing Referrers"',
    async handle({ repository, digest }, request) {
      const page = pageOf(request.query)
      const artifactType = request.query.get('artifactType') || undefined
      const place = { registry: request.registry, repository }
      const { entries, hasMore } = await registry.listReferrers(place, digest, artifactType, page)
      const filter = artifactType === undefined ? {} : { artifactType }
      return json(
        200,
        { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries },
        {
          'Content-Type': mediaTypes.ociIndex,
          ...(artifactType === undefined ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
          ...linkTo(`/v2/${repository}/referrers/${digest}`, hasMore, entries.at(-1)?.digest, page.limit, filter),
        },
      )
    },
  }),
]

function linkTo(
  path: string,
  hasMore: boolean,
  last: string | undefined,
  n: number,
  filter: Record<string, string> = {},
) {
  if (!hasMore || last === undefined) return {}
  return { Link: nextLink(path, { last, n, orderby: '', ...filter }) }
}
