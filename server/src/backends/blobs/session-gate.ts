/** Keeps the callers of one upload session, within one process, out of each other's way. */
import { Fault } from '../../base/fault.ts'

/** Runs one step of I/O; refuses once a newer caller has taken the session over. */
export type Step = <T>(io: () => Promise<T>) => Promise<T>

interface Gate {
  newest: Caller
  /** Callers that have not ended yet. */
  callers: number
  lastStep: Promise<unknown>
}

interface Caller {
  readonly ends: boolean
}

/**
 * The newest caller wins: from the moment it comes, an earlier append starts no further write, and the newest waits
 * only for the one step that is under way, never for a client that sends slowly. So nothing writes through a descriptor
 * whose file a commit has already renamed into place. The earlier one waits for nothing: it may hold memory that the
 * newest needs.
 * This is about one process. Two processes are kept apart by the claim in `upload_sessions`.
 */
export class SessionGates {
  readonly #gates = new Map<string, Gate>()

  /**
   * ends: whether this caller removes the session; an earlier append then fails with `blobUploadUnknown`, otherwise
   * with `uploadBusy`.
   */
  async enter<T>(session: string, caller: Caller, work: (step: Step) => Promise<T>): Promise<T> {
    const gate = this.#gates.get(session) ?? { newest: caller, callers: 0, lastStep: Promise.resolve() }
    this.#gates.set(session, gate)
    gate.newest = caller
    gate.callers++
    try {
      const refuseAnEarlierOne = () => {
        if (gate.newest !== caller) throw supersededBy(gate.newest, session)
      }
      return await work(async (io) => {
        refuseAnEarlierOne()
        const step = gate.lastStep.then(() => {
          refuseAnEarlierOne()
          return io()
        })
        gate.lastStep = step.catch(() => {}) // told to whoever took the step
        return step
      })
    } finally {
      gate.callers--
      if (gate.callers === 0) this.#gates.delete(session)
    }
  }
}

function supersededBy(newest: Caller, session: string): Fault {
  return newest.ends ? new Fault('blobUploadUnknown', { session }) : new Fault('uploadBusy', { session })
}
