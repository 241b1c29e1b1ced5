/** Connections that want nothing, or stop in the middle of wanting it; and whether they are cut when docs/compatibility.md says. */
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { openSocket, type Target, type Wire } from './target.ts'

interface Posture {
  readonly title: string
  readonly wire: Wire
  /** How many of a hundred. */
  readonly share: number
  /** What it says before it falls silent. */
  readonly says?: (target: Target, index: number) => string | Buffer
  /** It ends its side afterwards. */
  readonly ends?: boolean
  /** The status it must see before the server cuts it. */
  readonly answer?: number
  /** How long the server bears its silence. */
  readonly cutAfterMs: number
  /** A server that is crowded may close connections between two requests when it likes (RFC 9112 §9.5). */
  readonly maybeEarlier?: boolean
}

const wholeGet = ({ host, authorization }: Target) =>
  `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\n\r\n`
const halfHead = ({ host }: Target) => `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nX-Half: a`
/** The push of a blob of 1,000 bytes, ten of which come. */
const halfBody = ({ host, authorization }: Target, index: number) =>
  `POST /v2/crowd/half-${index % 10}/blobs/uploads/?digest=sha256:${'0'.repeat(64)} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\nContent-Length: 1000\r\n\r\n0123456789`
/** The beginning of a TLS record that announces a ClientHello of 512 bytes. */
const halfHandshake = () => Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])

/** Those that live longest are opened first, so that all of them are there at one time. */
const postures: readonly Posture[] = [
  // Between two requests.
  {
    title: 'kept over TLS',
    wire: 'tls',
    share: 22,
    says: wholeGet,
    answer: 200,
    cutAfterMs: 75_000,
    maybeEarlier: true,
  },
  { title: 'kept', wire: 'plain', share: 44, says: wholeGet, answer: 200, cutAfterMs: 75_000, maybeEarlier: true },
  { title: 'half a body over TLS', wire: 'tls', share: 2, says: halfBody, cutAfterMs: 60_000 },
  { title: 'half a body', wire: 'plain', share: 4, says: halfBody, cutAfterMs: 60_000 },
  { title: 'half a head over TLS', wire: 'tls', share: 4, says: halfHead, answer: 408, cutAfterMs: 15_000 },
  { title: 'half a head', wire: 'plain', share: 8, says: halfHead, answer: 408, cutAfterMs: 15_000 },
  { title: 'half a TLS handshake', wire: 'plain', share: 6, says: halfHandshake, cutAfterMs: 10_000 },
  { title: 'silent from the start', wire: 'plain', share: 7, cutAfterMs: 10_000 },
  // The client has ended its side: nothing more can come, so nothing is waited for.
  { title: 'ended in the head', wire: 'plain', share: 1, says: halfHead, ends: true, cutAfterMs: 0 },
  { title: 'ended after a request', wire: 'plain', share: 2, says: wholeGet, ends: true, answer: 200, cutAfterMs: 0 },
]

/** How much later than promised it may happen on a busy machine, where clocks look round every few seconds. */
const slackMs = 15_000
const opensAtOnce = 32

interface Idler {
  readonly posture: Posture
  readonly socket: Socket
  /** When it fell silent. */
  silentAt: number
  status: number | undefined
  closedAt: number | undefined
}

export interface Idlers {
  /** Resolves when all of them are there, or were refused. */
  readonly opened: Promise<void>
  alive(): number
  counts(): Readonly<Record<string, number>>
  /** Waits for all that have to be cut within so long, cuts the others, and says what was not as promised. */
  end(patienceMs: number): Promise<{ readonly problems: string[]; readonly notes: string[] }>
}

export function openIdlers(target: Target, count: number): Idlers {
  const idlers: Idler[] = []
  const refused = new Map<string, string>()
  const opened = openAll()

  async function openAll(): Promise<void> {
    const queue = postures
      .flatMap((posture) => Array.from({ length: Math.ceil((count * posture.share) / 100) }, () => posture))
      .slice(0, count)
      .entries()
    await Promise.all(
      Array.from({ length: opensAtOnce }, async () => {
        for (const [index, posture] of queue) {
          try {
            idlers.push(await openIdler(target, posture, index))
          } catch (error) {
            refused.set(posture.title, (error as Error).message)
          }
        }
      }),
    )
  }

  return {
    opened,
    alive: () => idlers.filter(({ closedAt }) => closedAt === undefined).length,
    counts: () => ({
      'idle connections': idlers.length,
      ...Object.fromEntries(postures.map(({ title }) => [`idle connections, ${title}`, ofPosture(title).length])),
    }),
    async end(patienceMs) {
      await opened
      const judged = idlers.filter(({ posture }) => posture.cutAfterMs + slackMs <= patienceMs)
      const last = Math.max(0, ...judged.map(({ silentAt, posture }) => silentAt + posture.cutAfterMs + slackMs))
      while (judged.some(({ closedAt }) => closedAt === undefined) && performance.now() < last) await pause(100)
      const problems = [
        ...[...refused].map(([title, reason]) => `a connection (${title}) could not be opened: ${reason}`),
        ...postures.flatMap(({ title }) => complaint(title, ofPosture(title, judged)) ?? []),
      ]
      const notes = postures.flatMap(({ title }) => timesOf(title, ofPosture(title, judged)) ?? [])
      for (const { socket } of idlers) socket.destroy()
      return { problems, notes }
    },
  }

  function ofPosture(title: string, among: readonly Idler[] = idlers): Idler[] {
    return among.filter(({ posture }) => posture.title === title)
  }
}

async function openIdler(target: Target, posture: Posture, index: number): Promise<Idler> {
  const socket = await openSocket(target, posture.wire)
  const idler: Idler = { posture, socket, silentAt: performance.now(), status: undefined, closedAt: undefined }
  socket.on('data', (chunk: Buffer) => {
    idler.status ??= Number(/^HTTP\/1\.1 (\d{3})/.exec(chunk.toString('latin1'))?.[1])
    if (posture.answer === 200) idler.silentAt = performance.now()
  })
  socket.once('close', () => {
    idler.closedAt = performance.now()
  })
  const words = posture.says?.(target, index)
  if (words !== undefined) socket.write(words)
  if (posture.ends) socket.end()
  return idler
}

function complaint(title: string, idlers: readonly Idler[]): string | undefined {
  const kept = idlers.filter(({ closedAt }) => closedAt === undefined)
  if (kept.length > 0) return `${kept.length} of ${idlers.length} connections (${title}) are not cut`
  const late = idlers.filter((idler) => silenceOf(idler) > idler.posture.cutAfterMs + slackMs)
  if (late.length > 0) return `${late.length} of ${idlers.length} connections (${title}) are cut too late`
  const early = idlers.filter(
    (idler) => !idler.posture.maybeEarlier && silenceOf(idler) < idler.posture.cutAfterMs * 0.9,
  )
  if (early.length > 0) return `${early.length} of ${idlers.length} connections (${title}) are cut too early`
  const other = idlers.find(({ posture, status }) => posture.answer !== undefined && posture.answer !== status)
  return other && `a connection (${title}) was answered ${other.status ?? 'nothing'}, not ${other.posture.answer}`
}

const silenceOf = ({ closedAt = Number.POSITIVE_INFINITY, silentAt }: Idler) => closedAt - silentAt

function timesOf(title: string, idlers: readonly Idler[]): string | undefined {
  if (idlers.length === 0) return undefined
  const seconds = idlers.map((idler) => silenceOf(idler) / 1000)
  return `cut after ${Math.min(...seconds).toFixed(0)} to ${Math.max(...seconds).toFixed(0)} s: ${title}`
}
