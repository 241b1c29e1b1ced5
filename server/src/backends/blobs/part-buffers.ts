/** Memory for parts on their way to an object store: bounded for the whole process, however many clients send. */
import { BufferPool } from '../../base/buffer-pool.ts'

/** Who fills a buffer. `spill` asks it to write what it has and to give the buffer back soon; it may be busy doing so. */
export interface Holder {
  spill(): void
}

export interface PartBuffersOptions {
  /** For clients that send little. */
  readonly smallBytes: number
  readonly partBytes: number
  /** Of all buffers that are in use at a time. */
  readonly budgetBytes: number
  /** How long a buffer may be filled while somebody else waits for one. */
  readonly patienceMs: number
}

interface Waiting {
  readonly bytes: number
  readonly holder: Holder
  readonly give: (buffer: Buffer) => void
}

/**
 * When the budget is used up, callers wait in the order they came, and whoever fills a buffer for longest is asked to
 * write what it has: a client that sends slowly keeps nobody waiting.
 */
export class PartBuffers {
  readonly smallBytes: number
  readonly partBytes: number
  readonly #budget: number
  readonly #patienceMs: number
  readonly #small: BufferPool
  readonly #parts: BufferPool
  /** By age, the oldest first. */
  readonly #held = new Map<Buffer, { readonly holder: Holder; readonly since: number }>()
  readonly #waiting: Waiting[] = []
  #used = 0
  #pressing: NodeJS.Timeout | undefined

  constructor({ smallBytes, partBytes, budgetBytes, patienceMs }: PartBuffersOptions) {
    this.smallBytes = smallBytes
    this.partBytes = partBytes
    this.#budget = Math.max(budgetBytes, smallBytes + partBytes) // one caller holds both for a moment
    this.#patienceMs = patienceMs
    this.#small = new BufferPool(smallBytes, 16)
    this.#parts = new BufferPool(partBytes, 2)
  }

  /** bytes: `smallBytes` or `partBytes`. */
  async take(bytes: number, holder: Holder): Promise<Buffer> {
    const free = this.takeFree(bytes, holder)
    if (free !== undefined) return free
    const { promise, resolve: give } = Promise.withResolvers<Buffer>()
    this.#waiting.push({ bytes, holder, give })
    this.#press()
    return promise
  }

  /** Undefined when there is none to be had at once. */
  takeFree(bytes: number, holder: Holder): Buffer | undefined {
    return this.#waiting.length === 0 && this.#used + bytes <= this.#budget ? this.#hand(bytes, holder) : undefined
  }

  give(buffer: Buffer): void {
    if (!this.#held.delete(buffer)) throw new Error('a buffer was given back twice')
    this.#used -= buffer.length
    this.#poolOf(buffer.length).give(buffer)
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#used + next.bytes > this.#budget) return
      this.#waiting.shift()
      next.give(this.#hand(next.bytes, next.holder))
    }
    clearTimeout(this.#pressing)
    this.#pressing = undefined
  }

  #hand(bytes: number, holder: Holder): Buffer {
    const buffer = this.#poolOf(bytes).take()
    this.#held.set(buffer, { holder, since: performance.now() })
    this.#used += bytes
    return buffer
  }

  #poolOf(bytes: number): BufferPool {
    return bytes === this.partBytes ? this.#parts : this.#small
  }

  #press(): void {
    if (this.#pressing !== undefined) return
    this.#pressing = setInterval(() => {
      const since = performance.now() - this.#patienceMs
      const oldest = [...this.#held.values()].filter((held) => held.since <= since).slice(0, this.#waiting.length)
      for (const { holder } of oldest) holder.spill()
    }, this.#patienceMs / 4)
  }
}
