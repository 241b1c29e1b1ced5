/** Why everything cannot move, or not go on moving: one sentence for the operator. What was copied stays, for another try. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}
