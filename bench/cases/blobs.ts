/** Blobs from a kilobyte to a gibibyte. */
import { type Case, megabytesPerSecond } from '../case.ts'
import { runJob } from '../load/run-job.ts'
import type { Access } from '../peers/registry.ts'
import { repositories } from '../seed/data-sets.ts'
import type { Blob, LiveData } from '../seed/live.ts'
import { portOf } from './ports.ts'
import { headersFor, requestCase } from './requests.ts'

const access: Access = { repositories: [repositories.blobs] }
const pathOf = ({ digest }: Blob) => `/v2/${repositories.blobs}/blobs/${digest}`
const readers = 4

export function blobCases(data: LiveData): Case[] {
  const sizeIs = (blob: Blob) => (body: Buffer) => {
    if (body.length !== blob.size) throw new Error(`the blob has ${body.length} bytes instead of ${blob.size}`)
  }
  const fewBytes = { needs: ['blobs'], access } as const
  return [
    requestCase({
      ...fewBytes,
      name: 'blob/1KB',
      title: 'blob of 1 KB',
      paths: () => [pathOf(data.kilobyte)],
      check: sizeIs(data.kilobyte),
      wanted: [{ kind: 'ratio', atLeast: 1 }],
    }),
    requestCase({
      ...fewBytes,
      name: 'blob/1MB',
      title: 'blob of 1 MB',
      unit: 'megabytes',
      paths: () => [pathOf(data.megabyte)],
      check: sizeIs(data.megabyte),
    }),
    requestCase({
      ...fewBytes,
      name: 'blob/10MB',
      title: 'blob of 10 MB',
      unit: 'megabytes',
      paths: () => [pathOf(data.tenMegabytes)],
      check: sizeIs(data.tenMegabytes),
      wanted: [{ kind: 'ratio', atLeast: 1.1 }],
    }),
    {
      name: 'blob/1GiB',
      title: `blob of 1 GiB, ${readers} readers`,
      unit: megabytesPerSecond,
      needs: ['gibibyte'],
      wanted: [{ kind: 'ratio', atLeast: 1 }],
      async measure(registry, { seconds }) {
        const { Authorization: authorization } = await headersFor(registry, access)
        const result = await runJob({
          ...{ kind: 'ask', method: 'GET', paths: [pathOf(data.gibibyte())], port: portOf(registry) },
          ...{ connections: readers, seconds, ...(authorization === undefined ? {} : { authorization }) },
        })
        return { value: result.bytes / result.seconds / 1e6, p50: result.p50, p99: result.p99 }
      },
    },
  ]
}
