/** The load generator's process: a job as JSON in its argument, a result as JSON on its output. */
import { createHash, randomBytes } from 'node:crypto'
import { type Connection, openConnection } from './connection.ts'
import type { AskJob, Job, JobResult, LitterJob, PullJob, PushJob } from './jobs.ts'
import { atFixedRate, type Operation, oneAfterAnother } from './pace.ts'
import { createWire, pushBlob, pushImage } from './wire.ts'

interface Prepared {
  readonly clients: number
  readonly most?: number
  /** So many begin, whatever the clients do. */
  readonly perSecond?: number
  readonly operation: Operation
  close(): void
}

let toldToEnd = false
process.once('SIGTERM', () => {
  toldToEnd = true
})
const job = JSON.parse(process.argv[2] ?? '') as Job
const prepared = await prepare(job)
const result = await measure(prepared, job.seconds)
prepared.close()
console.log(JSON.stringify(result))

async function prepare(work: Job): Promise<Prepared> {
  switch (work.kind) {
    case 'ask':
      return prepareAsk(work)
    case 'pull':
      return preparePull(work)
    case 'push':
      return preparePush(work)
    case 'litter':
      return prepareLitter(work)
  }
}

async function measure(
  { clients, most = Number.POSITIVE_INFINITY, perSecond, operation }: Prepared,
  seconds: number,
): Promise<JobResult> {
  const start = performance.now()
  const end = { deadline: start + seconds * 1000, isOver: () => toldToEnd }
  const { times, bytes } =
    perSecond === undefined
      ? await oneAfterAnother({ clients, most, operation }, end)
      : await atFixedRate({ perSecond, operation }, end)
  const took = performance.now() - start
  const sorted = times.toSorted((one, other) => one - other)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { operations: times.length, seconds: took / 1000, bytes, p50: at(0.5), p99: at(0.99) }
}

function headersOf({ authorization }: Job): Record<string, string> {
  // Distribution hides OCI manifests from who does not ask for them.
  const accept = 'application/vnd.oci.image.manifest.v1+json, */*'
  return { accept, ...(authorization === undefined ? {} : { authorization }) }
}

async function openConnections(work: Job, count: number) {
  return Promise.all(Array.from({ length: count }, () => openConnection(work.port, headersOf(work))))
}

function closeAll(connections: readonly Connection[]): void {
  for (const connection of connections) connection.close()
}

async function prepareAsk(work: AskJob): Promise<Prepared> {
  const { method, paths, connections: clients } = work
  const connections = await openConnections(work, clients)
  let next = 0
  return {
    clients,
    operation: (client) => connections[client]!.ask(method, paths[next++ % paths.length]!),
    close: () => closeAll(connections),
  }
}

async function preparePull(work: PullJob): Promise<Prepared> {
  const { manifest, blobs, pullers, connectionsEach } = work
  const connections = await openConnections(work, pullers * connectionsEach)
  return {
    clients: pullers,
    async operation(client) {
      const own = connections.slice(client * connectionsEach, (client + 1) * connectionsEach)
      let bytes = await own[0]!.ask('GET', manifest)
      let next = 0
      const fetchBlobs = own.map(async (connection) => {
        while (next < blobs.length) {
          const moved = await connection.ask('GET', blobs[next++]!)
          bytes += moved
        }
      })
      await Promise.all(fetchBlobs)
      return bytes
    },
    close: () => closeAll(connections),
  }
}

function preparePush(work: PushJob): Prepared {
  const { layerBytes, style, repository, pushers, most, perSecond } = work
  const wire = createWire(`http://127.0.0.1:${work.port}`, work.authorization, pushers)
  const unlike = createLayers(layerBytes)
  return {
    clients: pushers,
    ...(most === undefined ? {} : { most }),
    ...(perSecond === undefined ? {} : { perSecond }),
    async operation() {
      const layer = unlike()
      const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', of: layer.digest }))
      await pushImage(wire, repository, `pushed-${randomBytes(8).toString('hex')}`, config, [layer], style)
      return layer.size
    },
    close: () => wire.close(),
  }
}

function prepareLitter(work: LitterJob): Prepared {
  const { repository, blobs, pushers } = work
  const wire = createWire(`http://127.0.0.1:${work.port}`, work.authorization, pushers)
  const unlike = createLayers(512)
  return {
    clients: pushers,
    most: blobs,
    async operation() {
      const { digest, bytes, size } = unlike()
      await pushBlob(wire, repository, digest, bytes)
      return size
    },
    close: () => wire.close(),
  }
}

/** Layers that differ in their last bytes only, so that the hash of the long beginning is computed once. */
function createLayers(size: number) {
  const own = 32
  const common = randomBytes(Math.max(0, size - own))
  const begun = createHash('sha256').update(common)
  return () => {
    const end = randomBytes(Math.min(own, size))
    const digest = `sha256:${begun.copy().update(end).digest('hex')}`
    return { digest, size, bytes: [common, end] as const }
  }
}
