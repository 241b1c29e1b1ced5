/** Key: subject (`address:…` or `account:…`). Index: (failed_at). Rows older than the window count for nothing and are dropped. */
export interface LoginFailuresTable {
  subject: string
  failures: number
  /** ISO time of the newest failure. */
  failed_at: string
}
