/** Contents kept in memory up to a sum of bytes; what was not used for longest goes first. */
export class BoundedBytes<Key> {
  readonly #limitBytes: number
  readonly #entries = new Map<Key, Uint8Array>()
  #bytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get(key: Key): Uint8Array | undefined {
    const content = this.#entries.get(key)
    if (content === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, content)
    return content
  }

  /** Keeps the array itself, so nobody may change it afterwards. One that is larger than everything allowed is not kept. */
  set(key: Key, content: Uint8Array): void {
    this.delete(key)
    if (cost(content) > this.#limitBytes) return
    this.#entries.set(key, content)
    this.#bytes += cost(content)
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#limitBytes) return
      this.delete(oldest)
    }
  }

  delete(key: Key): void {
    const content = this.#entries.get(key)
    if (content === undefined) return
    this.#entries.delete(key)
    this.#bytes -= cost(content)
  }

  get bytes(): number {
    return this.#bytes
  }
}

/** What an entry takes besides its content: map entry, key, array and buffer objects. */
const overheadBytes = 300

const cost = (content: Uint8Array) => content.byteLength + overheadBytes
