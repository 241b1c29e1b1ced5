/** Who does what only one process should do at a time. Key: name. Nothing that must be right may depend on it. */
export interface LeasesTable {
  name: string
  holder: string
  /** ISO time from which on anybody else may take it. */
  until: string
}
