/** Pages of a hundred tags, repositories and referrers, wherever they are in the list. */
import { type Case, NotOffered, type Wanted } from '../case.ts'
import type { Options } from '../options.ts'
import type { Access, Registry } from '../peers/registry.ts'
import { formatCount } from '../report/numbers.ts'
import { referrersSubject, repositories, repositoryAt, tagAt } from '../seed/data-sets.ts'
import { askOnce, requestCase } from './requests.ts'

const pageSize = 100
const wanted: readonly Wanted[] = [{ kind: 'ratio', atLeast: 15 }]
const places = ['start', 'middle', 'end'] as const
type Place = (typeof places)[number]

export const listCases = (options: Options): Case[] => [
  ...places.map((place) => tagsCase(options.entries, place, 'many')),
  ...places.map((place) => tagsCase(options.large, place, 'most', options.entries)),
  ...places.map((place) => catalogCase(options.entries, place, 'many')),
  ...places.map((place) => catalogCase(options.large, place, 'most', options.entries)),
  ...referrersCases(options.entries),
]

/** The number of the page's first entry. */
const firstOf = (place: Place, count: number): number =>
  ({ start: 0, middle: Math.floor(count / 2), end: count - pageSize })[place]

/** peers: how many the others have, in Berth's large store. */
function tagsCase(count: number, place: Place, size: 'many' | 'most', peers?: number): Case {
  const first = firstOf(place, count)
  const last = first === 0 ? '' : `&last=${tagAt(first - 1)}`
  return requestCase({
    ...sizeFields(`tags/${size}/${place}`, `tags/many/${place}`, peers),
    title: `${pageSize} tags from the ${place} of ${formatCount(count)}${ofPeers(peers)}`,
    needs: [peers === undefined ? 'tags' : 'largeTags'],
    access: { repositories: [repositories.tags] },
    paths: () => [`/v2/${repositories.tags}/tags/list?n=${pageSize}${last}`],
    check: (body) => isPage((JSON.parse(body.toString('utf8')) as { tags: string[] }).tags, tagAt(first)),
    wanted,
  })
}

function catalogCase(count: number, place: Place, size: 'many' | 'most', peers?: number): Case {
  const first = firstOf(place, count)
  const last = first === 0 ? '' : `&last=${encodeURIComponent(repositoryAt(first - 1))}`
  return requestCase({
    ...sizeFields(`catalog/${size}/${place}`, `catalog/many/${place}`, peers),
    title: `${pageSize} repositories from the ${place} of ${formatCount(count)}${ofPeers(peers)}`,
    needs: [peers === undefined ? 'repositories' : 'largeRepositories'],
    access: { catalog: true },
    paths: () => [`/v2/_catalog?n=${pageSize}${last}`],
    check: (body) =>
      isPage((JSON.parse(body.toString('utf8')) as { repositories: string[] }).repositories, repositoryAt(first)),
    notOfferedAt: [404],
    wanted,
  })
}

const sizeFields = (name: string, peersOf: string, peers: number | undefined) =>
  peers === undefined ? { name } : { name, peersOf, largeStore: true, berthAlone: 'has no such store' }

const ofPeers = (peers: number | undefined) => (peers === undefined ? '' : ` (peers: ${formatCount(peers)})`)

function isPage(names: readonly string[], first: string): void {
  if (names.length === pageSize && names[0] === first) return
  throw new Error(`the page has ${names.length} names from ${names[0]} instead of ${pageSize} from ${first}`)
}

const referrersAccess: Access = { repositories: [repositories.referrers] }
const referrersPath = `/v2/${repositories.referrers}/referrers/${referrersSubject.digest}`

/** Registries cut the list differently, or not at all: so once what a client gets first, and once until it has all. */
function referrersCases(count: number): Case[] {
  const pages = new Map<Registry, { readonly paths: readonly string[]; readonly firstEntries: number }>()

  async function pagesOf(registry: Registry) {
    const known = pages.get(registry)
    if (known !== undefined) return known
    const paths: string[] = []
    let [entries, firstEntries] = [0, 0]
    for (let next: string | undefined = referrersPath; next !== undefined; ) {
      const { status, headers, body } = await askOnce(registry, next, referrersAccess)
      if (status === 404) throw new NotOffered('answers 404')
      if (status !== 200) throw new Error(`answers ${status}`)
      paths.push(next)
      entries += (JSON.parse(body.toString('utf8')) as { manifests: unknown[] }).manifests.length
      if (paths.length === 1) firstEntries = entries
      const link = /<([^>]+)>; *rel="?next/.exec(String(headers.link ?? ''))?.[1]
      next = link === undefined ? undefined : pathOf(link)
    }
    if (entries !== count) throw new Error(`lists ${entries} referrers instead of ${count}`)
    const found = { paths, firstEntries }
    pages.set(registry, found)
    return found
  }

  const common = { needs: ['referrers'], access: referrersAccess } as const
  return [
    requestCase({
      ...common,
      name: 'referrers/first',
      title: `first answer for a subject with ${formatCount(count)} referrers`,
      paths: async (registry) => (await pagesOf(registry)).paths.slice(0, 1),
      note: (registry) => `${formatCount(pages.get(registry)?.firstEntries ?? 0)} an answer`,
    }),
    requestCase({
      ...common,
      name: 'referrers/all',
      title: `all referrers of a subject with ${formatCount(count)}`,
      counted: { what: 'lists', requestsEach: (paths) => paths.length },
      paths: async (registry) => (await pagesOf(registry)).paths,
      note: (registry) => `${pages.get(registry)?.paths.length} answers a list`,
    }),
  ]
}

function pathOf(link: string): string {
  const { pathname, search } = new URL(link, `http://127.0.0.1${referrersPath}`)
  return pathname + search
}
