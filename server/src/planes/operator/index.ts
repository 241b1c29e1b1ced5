/** What load balancers, orchestrators and Prometheus ask: is it alive, is it ready, how is it doing. On every host. */
import { Fault } from '../../base/fault.ts'
import { isLoopback } from '../../base/loopback.ts'
import type { Plane } from '../../http/plane.ts'
import type { ReplyHeaders } from '../../http/reply.ts'
import { json } from '../../http/reply.ts'
import { nobody, route } from '../../http/route.ts'
import { commonErrors, ociBugReply, ociErrorReply } from '../../http/wire-error.ts'

export interface OperatorParts {
  /** Why requests could not be served right now, by part; empty when all is well. */
  readonly troubles: () => Promise<Readonly<Record<string, string>>>
  /** Prometheus text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  /** Whether an address may read the metrics, besides loopback. */
  readonly mayReadMetrics: (address: string) => boolean
}

export function operatorPlane({ troubles, metrics, mayReadMetrics }: OperatorParts, headers: ReplyHeaders): Plane {
  return {
    name: 'operator',
    prefixes: ['/healthz', '/readyz', '/metrics'],
    registryHosts: false,
    routes: [
      route({
        methods: ['GET', 'HEAD'],
        path: '/healthz',
        needs: nobody, // says nothing but that the process answers
        spec: 'Kubernetes, "Configure Liveness, Readiness and Startup Probes"',
        handle: () => json(200, { status: 'ok' }),
      }),
      route({
        methods: ['GET', 'HEAD'],
        path: '/readyz',
        needs: nobody,
        spec: 'Kubernetes, "Configure Liveness, Readiness and Startup Probes"',
        async handle() {
          const found = await troubles()
          const ready = Object.keys(found).length === 0
          return json(ready ? 200 : 503, ready ? { status: 'ok' } : { status: 'unavailable', troubles: found })
        },
      }),
      route({
        methods: ['GET'],
        path: '/metrics',
        needs: nobody, // open to this machine and to the trusted proxies only
        spec: 'Prometheus, "Exposition formats"',
        async handle(_, { remoteAddress, rawPath, headers: sent }) {
          // A proxy on this machine that was not named may speak for anybody.
          const forwarded = sent['x-forwarded-for'] !== undefined || sent.forwarded !== undefined
          const local = isLoopback(remoteAddress) && !forwarded
          if (!local && !mayReadMetrics(remoteAddress)) {
            throw new Fault('routeUnknown', { path: rawPath })
          }
          const { contentType, text } = await metrics()
          return { status: 200, headers: { 'Content-Type': contentType }, body: text }
        },
      }),
    ],
    headers,
    fault: (fault, request) => ociErrorReply(commonErrors, fault, request),
    bug: ociBugReply,
  }
}
