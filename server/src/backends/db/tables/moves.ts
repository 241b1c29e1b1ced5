/**
 * That everything moves from here to another database and blob store, or has come from one: core/migration. At most one row;
 * none where nothing moves. Every write looks at it first, see move-gate.ts.
 */
export interface MovesTable {
  /** Key. A UUID, the same in both databases. */
  id: string
  /**
   * Where things move from: `copying` (changes are taken as ever), `frozen` (refused until `until`, then taken again) or
   * `moved` (refused). Where they move to: `filling` (refused) or `arrived` (everything is there, and nothing has been
   * changed but by servers themselves: the first change removes the row. Until then bytes stay that both places have).
   */
  state: 'copying' | 'frozen' | 'moved' | 'filling' | 'arrived'
  /** The program that carries it out, by a name that no other has; empty for none. */
  holder: string
  /** ISO time from which on another one may take over. */
  until: string
  /** The other database, as settings spell it, without secrets. */
  database: string
  /** The blob store that things move to, likewise. */
  blobs: string
  /** 1: both places have one blob store, and only the database moves. */
  shares_blobs: number
  begun_at: string
}
