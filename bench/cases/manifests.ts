/** Manifests by tag and by digest, in a repository with one and in some with very many. */
import { randomInt } from 'node:crypto'
import { type Case, perSecond } from '../case.ts'
import { runJob } from '../load/run-job.ts'
import type { Options } from '../options.ts'
import type { Access, Registry } from '../peers/registry.ts'
import { formatCount } from '../report/numbers.ts'
import { repositories, tagAt } from '../seed/data-sets.ts'
import { seedImage, sha256 } from '../seed/images.ts'
import { smallTag } from '../seed/live.ts'
import { portOf } from './ports.ts'
import { askOnce, headersFor, requestCase } from './requests.ts'

/** So many different tags are asked for in turn, evenly from all. */
const sample = 1000
const connections = 32

const small: Access = { repositories: [repositories.small] }
const many: Access = { repositories: [repositories.tags] }
const byTag = `/v2/${repositories.small}/manifests/${smallTag}`

export function manifestCases({ entries, large }: Options): Case[] {
  return [
    requestCase({
      name: 'manifest/tag/small',
      title: 'manifest by tag, small repository',
      needs: ['small'],
      access: small,
      paths: () => [byTag],
      check: isManifest,
      wanted: [{ kind: 'ratio', atLeast: 1 }],
    }),
    requestCase({
      name: 'manifest/digest/small',
      title: 'manifest by digest, small repository',
      needs: ['small'],
      access: small,
      paths: async (registry) => [await byDigest(registry)],
      check: isManifest,
      wanted: [{ kind: 'ratio', atLeast: 1 }],
    }),
    {
      name: 'manifest/head/small',
      title: 'HEAD of a manifest by tag, small repository',
      unit: perSecond('requests'),
      needs: ['small'],
      // wrk waits for the body that a HEAD has not.
      async measure(registry, { seconds }) {
        const { Authorization: authorization } = await headersFor(registry, small)
        const {
          operations,
          seconds: took,
          p50,
          p99,
        } = await runJob({
          ...{ kind: 'ask', method: 'HEAD', paths: [byTag], port: portOf(registry), connections, seconds },
          ...(authorization === undefined ? {} : { authorization }),
        })
        return { value: operations / took, p50, p99 }
      },
    },
    requestCase({
      name: 'manifest/tag/many',
      title: `manifest by tag among ${formatCount(entries)}`,
      needs: ['tags'],
      access: many,
      paths: () => tagPaths(entries),
      check: isManifest,
      wanted: [{ kind: 'ratio', atLeast: 4 }],
    }),
    requestCase({
      name: 'manifest/digest/many',
      title: `manifest by digest among ${formatCount(entries)}`,
      needs: ['tags'],
      access: many,
      paths: () => evenly(entries).map((at) => `/v2/${repositories.tags}/manifests/${seedImage(at, '').digest}`),
      check: isManifest,
    }),
    requestCase({
      name: 'manifest/tag/most',
      title: `manifest by tag among ${formatCount(large)} (peers: ${formatCount(entries)})`,
      needs: ['largeTags'],
      largeStore: true,
      berthAlone: 'has no such store',
      peersOf: 'manifest/tag/many',
      access: many,
      paths: () => tagPaths(large),
      check: isManifest,
      wanted: [
        { kind: 'ratio', atLeast: 4 },
        { kind: 'asIn', case: 'manifest/tag/many', within: 0.1 },
      ],
    }),
    requestCase({
      name: 'manifest/tag/any',
      title: `manifest by any tag, at random, among ${formatCount(large)}`,
      needs: ['largeTags'],
      largeStore: true,
      berthAlone: 'has no such store',
      access: many,
      paths: () => Array.from({ length: 50_000 }, () => tagPath(randomInt(large))),
      check: isManifest,
    }),
  ]
}

async function byDigest(registry: Registry): Promise<string> {
  const { body } = await askOnce(registry, byTag, small)
  return `/v2/${repositories.small}/manifests/${sha256(body)}`
}

const tagPath = (at: number) => `/v2/${repositories.tags}/manifests/${tagAt(at)}`
const tagPaths = (count: number) => evenly(count).map(tagPath)

/** Numbers below `count`, evenly spread and in no order. */
function evenly(count: number): number[] {
  const wanted = Math.min(sample, count)
  // A step that has no factor in common with the sample's size visits each once.
  return Array.from({ length: wanted }, (_, at) => Math.floor((((at * 617) % wanted) * count) / wanted))
}

function isManifest(body: Buffer): void {
  const { schemaVersion } = JSON.parse(body.toString('utf8')) as { schemaVersion?: number }
  if (schemaVersion !== 2) throw new Error('the answer is no manifest')
}
