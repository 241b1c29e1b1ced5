/** Bytes that lie in a file: a stream like any other, and a file for whoever can send it without reading it. */
import type { Descriptor } from './descriptor.ts'

export interface FileSlice {
  readonly file: Descriptor
  readonly start: number
  /** The first byte that is not wanted any more. */
  readonly end: number
}

export interface FileBytes extends AsyncIterable<Uint8Array> {
  /** In place of reading; the taker closes the file. */
  takeFile(): FileSlice
}

export function isFileBytes(bytes: AsyncIterable<Uint8Array>): bytes is FileBytes {
  return 'takeFile' in bytes
}
