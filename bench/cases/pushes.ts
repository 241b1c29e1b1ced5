/** Pushes of images with one layer, which is new each time: by zb, and by a client of our own that every registry understands. */
import { type Case, perSecond } from '../case.ts'
import { discardingLayers } from '../load/discard.ts'
import { runJob } from '../load/run-job.ts'
import type { PushStyle } from '../load/wire.ts'
import { requireZb, runZb } from '../load/zb.ts'
import type { Options } from '../options.ts'
import type { Access } from '../peers/registry.ts'
import { megabyte } from '../seed/live.ts'
import { portOf } from './ports.ts'
import { zbRequestsOf } from './pulls.ts'

const sizes = ['1MB', '10MB', '100MB'] as const
type Size = (typeof sizes)[number]

const styles: readonly PushStyle[] = ['monolithic', 'chunked']

export function pushCases({ share }: Options): Case[] {
  return [
    ...styles.flatMap((style) => sizes.map((size) => zbPushCase(style, size, share))),
    ...styles.flatMap((style) => sizes.map((size) => ownPushCase(style, size))),
  ]
}

const zbTests = { monolithic: 'Push Monolith', chunked: 'Push Chunk Streamed' }
const zbRequests: Readonly<Record<Size, number>> = { '1MB': 800, '10MB': 200, '100MB': 20 }
const wantedRatio: Readonly<Record<Size, number>> = { '1MB': 1.5, '10MB': 1.2, '100MB': 1 }

function zbPushCase(style: PushStyle, size: Size, share: number): Case {
  return {
    name: `zb/push/${style}/${size}`,
    title: `zb: push of ${size}, ${style}`,
    unit: perSecond('pushes'),
    needs: [],
    writes: true,
    noWarmUp: size !== '1MB',
    wanted: [{ kind: 'ratio', atLeast: wantedRatio[size] }],
    check: (registry, folder) => requireZb(registry, style === 'chunked' ? 'chunks' : 'push', folder),
    async measure(registry, { warmUp, folder }) {
      const requests = zbRequestsOf(zbRequests[size], share, warmUp)
      const {
        perSecond: value,
        p50,
        p99,
      } = await runZb(registry, { test: `${zbTests[style]} ${size}`, requests, folder })
      return { value, p50, p99, operations: requests }
    },
  }
}

const pushedRepository = 'pushed/bench'
const access: Access = { repositories: [pushedRepository], actions: 'pull,push' }
const pushers: Readonly<Record<Size, number>> = { '1MB': 10, '10MB': 10, '100MB': 4 }
const bytesOf: Readonly<Record<Size, number>> = { '1MB': megabyte, '10MB': 10 * megabyte, '100MB': 100 * megabyte }

function ownPushCase(style: PushStyle, size: Size): Case {
  return {
    name: `push/${style}/${size}`,
    title: `push of ${size}, ${style}, ${pushers[size]} pushers`,
    unit: perSecond('pushes'),
    needs: [],
    writes: true,
    noWarmUp: size !== '1MB',
    async measure(registry, { seconds, warmUp }) {
      const authorization = await registry.authorize(access)
      const result = await discardingLayers(registry, () =>
        runJob({
          ...{ kind: 'push', repository: pushedRepository, layerBytes: bytesOf[size], style, pushers: pushers[size] },
          ...{ port: portOf(registry), seconds, ...(warmUp ? { most: pushers[size] } : {}) },
          ...(authorization === undefined ? {} : { authorization }),
        }),
      )
      return {
        value: result.operations / result.seconds,
        p50: result.p50,
        p99: result.p99,
        operations: result.operations,
      }
    },
  }
}
