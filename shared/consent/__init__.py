"""Let an admin consent to sending, and store the tokens.

1. `start` stores a flow. Its link can be opened once, and redirects the browser to Microsoft.
2. `callback` checks Microsoft's callback and handles it once. `grant` validates what a sign-in grants, and
   `admin_consent` what an admin grants to the app itself.
3. `completion` stores the settings that name the tokens.
4. `token_cache` returns access tokens from then on, and detects a lost consent.
5. `maintenance` refreshes tokens once a day, and deletes tokens that no settings name. `revoke` deletes the
   tokens of one consent.
"""
