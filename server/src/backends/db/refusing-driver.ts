/** What Kysely asks for and never uses: our handles come with their connection, and their transactions are ours. */
import type { DatabaseConnection, Driver } from 'kysely'

const refuse = async (): Promise<never> => {
  throw new Error('a database handle opens no connections and transactions of its own: use read and write')
}

export const refusingDriver: Driver = {
  init: refuse,
  acquireConnection: refuse as () => Promise<DatabaseConnection>,
  beginTransaction: refuse,
  commitTransaction: refuse,
  rollbackTransaction: refuse,
  releaseConnection: refuse,
  destroy: refuse,
}
