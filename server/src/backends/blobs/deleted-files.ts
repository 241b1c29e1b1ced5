/** Files that have lost their name but are held open: closing them gives their space back, and so does the end of this process. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { closeFile, closeInBackground, type Descriptor, sizeOfFile } from '../../base/descriptor.ts'

/** The space of files up to here is given back in less time than a trip through the thread pool takes. */
const quicklyFreedBytes = 1024 * 1024

export class DeletedFiles {
  #files: Descriptor[] = []
  #freeing: Promise<void> = Promise.resolve()

  /** One is closed after the other, so that large ones do not keep the thread pool from those who wait for it. */
  add(file: Descriptor): void {
    this.#files.push(file)
    if (this.#files.length === 1) this.#freeing = this.#freeing.then(() => this.#closeAll())
  }

  /** Resolves when the space of all is given back. */
  async freed(): Promise<void> {
    await this.#freeing
  }

  async #closeAll(): Promise<void> {
    // By then the transaction that they were deleted in has ended, on SQLite.
    await nextTurn()
    const files = this.#files
    this.#files = []
    for (const file of files) {
      try {
        if (sizeOfFile(file) <= quicklyFreedBytes) closeFile(file)
        else await closeInBackground(file)
      } catch {
        // The descriptor is gone all the same, and nobody could do more about its space.
      }
    }
  }
}
