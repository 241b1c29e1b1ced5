/** Cases that ask for the same kind of thing again and again with wrk. */
import { atRest } from '../at-rest.ts'
import { type Case, type Measurement, megabytesPerSecond, NotOffered, perSecond, type Round } from '../case.ts'
import { createWire } from '../load/wire.ts'
import { type LoadResult, type Pace, runWrk, wrkConnections } from '../load/wrk.ts'
import type { Access, Registry } from '../peers/registry.ts'

export interface RequestCase
  extends Pick<Case, 'name' | 'title' | 'needs' | 'berthAlone' | 'peersOf' | 'wanted' | 'largeStore'> {
  /** Asked for in turn. */
  paths(registry: Registry): Promise<readonly string[]> | readonly string[]
  readonly access: Access
  /** Looks at the first answer. Throws an Error that says what is wrong. */
  check?(body: Buffer, registry: Registry): void
  /** Statuses that mean that the registry has no such thing. */
  readonly notOfferedAt?: readonly number[]
  readonly unit?: 'requests' | 'megabytes'
  readonly tls?: boolean
  /** How many requests make one of what is counted, and what that is called. */
  readonly counted?: { readonly what: string; requestsEach(paths: readonly string[]): number }
  note?(registry: Registry): string | undefined
}

const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*'

export function requestCase({
  paths,
  access,
  check,
  notOfferedAt = [],
  unit,
  tls,
  counted,
  note,
  ...rest
}: RequestCase): Case {
  const paces = new Map<Registry, Pace>()
  return {
    ...rest,
    unit: unit === 'megabytes' ? megabytesPerSecond : perSecond(counted?.what ?? 'requests'),
    async check(registry) {
      const [path = ''] = await paths(registry)
      const { status, body } = await askOnce(registry, path, access)
      if (notOfferedAt.includes(status)) throw new NotOffered(`answers ${status}`)
      if (status !== 200) throw new Error(`answers ${status}: ${body.toString('utf8').slice(0, 200)}`)
      check?.(body, registry)
    },
    async measure(registry, { seconds }: Round): Promise<Measurement> {
      const url = tls ? registry.tlsUrl : registry.url
      if (url === undefined) throw new NotOffered('serves no TLS')
      const all = await paths(registry)
      const pace = paces.get(registry) ?? { plan: 0, rest: () => atRest(registry) }
      paces.set(registry, pace)
      const result = await runWrk({ url, paths: all, headers: await headersFor(registry, access), seconds }, pace)
      const remarks = [
        note?.(registry),
        result.connections < wrkConnections ? `by ${result.connections} at a time` : undefined,
      ]
      const said = remarks.filter((remark) => remark !== undefined).join(', ')
      return {
        value:
          unit === 'megabytes'
            ? megabytesOf(result)
            : result.requests / result.seconds / (counted?.requestsEach(all) ?? 1),
        p50: result.p50,
        p99: result.p99,
        operations: result.requests,
        ...(said === '' ? {} : { note: said }),
      }
    },
  }
}

const megabytesOf = ({ bytes, seconds }: LoadResult): number => bytes / seconds / 1e6

export async function headersFor(registry: Registry, access: Access): Promise<Record<string, string>> {
  const authorization = await registry.authorize(access)
  return { Accept: accept, ...(authorization === undefined ? {} : { Authorization: authorization }) }
}

export async function askOnce(registry: Registry, path: string, access: Access, method = 'GET') {
  const wire = createWire(registry.url, undefined)
  try {
    return await wire.ask(method, path, { headers: await headersFor(registry, access) })
  } finally {
    wire.close()
  }
}
