/** Work of different weight, several at a time. */
export class Several {
  readonly #capacity: number
  #load = 0
  #failure: { readonly error: unknown } | undefined
  #freed: PromiseWithResolvers<void> = Promise.withResolvers()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /**
   * Resolves when the work has begun. For one caller at a time.
   * weight: at most the capacity. Throws what earlier work has thrown; then no more is begun.
   */
  async add(weight: number, work: () => Promise<void>): Promise<void> {
    await this.#until(() => this.#load + weight <= this.#capacity)
    this.#check()
    this.#load += weight
    void work()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#load -= weight
        this.#freed.resolve()
        this.#freed = Promise.withResolvers()
      })
  }

  /** Resolves when all has ended, well or not. */
  async settled(): Promise<void> {
    await this.#until(() => this.#load === 0)
  }

  /** Resolves when all has ended. Throws what any of it has thrown first. */
  async end(): Promise<void> {
    await this.settled()
    this.#check()
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#freed.promise
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
