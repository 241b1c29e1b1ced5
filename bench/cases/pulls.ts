/** Whole images, pulled as clients do. */
import { type Case, perSecond } from '../case.ts'
import { runJob } from '../load/run-job.ts'
import { requireZb, runZb, zbConcurrency } from '../load/zb.ts'
import type { Options } from '../options.ts'
import type { Access } from '../peers/registry.ts'
import { formatCount } from '../report/numbers.ts'
import { repositories } from '../seed/data-sets.ts'
import { sha256, sharedConfig } from '../seed/images.ts'
import { type LiveData, layerBytes, layersTag, megabyte } from '../seed/live.ts'
import { portOf } from './ports.ts'
import { headersFor } from './requests.ts'

const pullers = 4
/** As docker does. */
const connectionsEach = 3
const access: Access = { repositories: [repositories.layers] }

export function pullCases(data: LiveData, { share }: Options): Case[] {
  return [
    {
      name: 'pull/layers',
      title: `image of ${data.layers.length} layers of ${layerBytes / megabyte} MB, ${pullers} pullers, ${connectionsEach} layers at a time`,
      unit: perSecond('pulls'),
      needs: ['layers'],
      async measure(registry, { seconds }) {
        const { Authorization: authorization } = await headersFor(registry, access)
        const top = `/v2/${repositories.layers}`
        const digests = [sha256(sharedConfig), ...data.layers.map(({ digest }) => digest)]
        const result = await runJob({
          ...{
            kind: 'pull',
            manifest: `${top}/manifests/${layersTag}`,
            blobs: digests.map((digest) => `${top}/blobs/${digest}`),
          },
          ...{ pullers, connectionsEach, port: portOf(registry), seconds },
          ...(authorization === undefined ? {} : { authorization }),
        })
        const megabytes = result.bytes / result.seconds / 1e6
        return {
          value: result.operations / result.seconds,
          p50: result.p50,
          p99: result.p99,
          operations: result.operations,
          note: `${formatCount(megabytes)} MB/s`,
        }
      },
    },
    ...(['1MB', '10MB', '100MB'] as const).map((size) => zbCase('pull', size, share)),
    ...(['1MB', '10MB', '100MB'] as const).map((size) => zbCase('mixed', size, share)),
  ]
}

const zbTests = {
  pull: (size: string) => `Pull ${size}`,
  mixed: (size: string) => `Pull 75% and Push 25% Mixed ${size}`,
}
// Each of zb's clients begins with a push, inside the measured time: several seconds of pulls make little of it.
const zbRequests = {
  pull: { '1MB': 4000, '10MB': 1000, '100MB': 100 },
  mixed: { '1MB': 2000, '10MB': 400, '100MB': 60 },
}

function zbCase(kind: 'pull' | 'mixed', size: '1MB' | '10MB' | '100MB', share: number): Case {
  const title = { pull: `zb: pull of ${size}`, mixed: `zb: 75 % pulls, 25 % pushes of ${size}` }[kind]
  return {
    name: `zb/${kind}/${size}`,
    title,
    unit: perSecond('requests'),
    needs: [],
    ...(kind === 'mixed' ? { writes: true } : {}),
    noWarmUp: size !== '1MB',
    wanted: [{ kind: 'ratio', atLeast: kind === 'mixed' ? 1.5 : 1 }],
    check: (registry, folder) => requireZb(registry, 'pull', folder),
    async measure(registry, { warmUp, folder }) {
      const requests = zbRequestsOf(zbRequests[kind][size], share, warmUp)
      const { perSecond: value, p50, p99 } = await runZb(registry, { test: zbTests[kind](size), requests, folder })
      return { value, p50, p99, operations: requests }
    },
  }
}

/** A multiple of zb's concurrency, at least that. */
export function zbRequestsOf(full: number, share: number, warmUp: boolean): number {
  const wanted = full * share * (warmUp ? 0.1 : 1)
  return Math.max(1, Math.round(wanted / zbConcurrency)) * zbConcurrency
}
