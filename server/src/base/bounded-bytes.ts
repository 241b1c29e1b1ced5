import { BoundedCache } from './bounded-cache.ts'

/** Contents kept in memory up to a sum of bytes. It keeps the arrays themselves, so nobody may change them afterwards. */
export class BoundedBytes<Key> extends BoundedCache<Key, Uint8Array> {
  constructor(limitBytes: number) {
    super(limitBytes, ({ byteLength }) => byteLength + overheadBytes)
  }
}

/** What an entry takes besides its content: map entry, key, links, array and buffer objects. */
const overheadBytes = 300
