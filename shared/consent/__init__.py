"""Let an admin consent to sending, and store the tokens.

1. `start`         stores a flow, and opens its link once: the browser is redirected to Microsoft
2. `callback`      checks Microsoft's callback and handles it once; `grant` validates what a sign-in grants,
                   `admin_consent` what an admin grants to the app itself
3. `completion`    stores the tokens first and then the settings that name them
4. `token_cache`   returns access tokens from then on, and detects a lost consent
5. `maintenance`   refreshes tokens once a day and deletes orphaned ones; `revoke` deletes those of a consent
"""
