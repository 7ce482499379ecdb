"""Journey 1: an admin lets us send.

1. `journey.start`     the admin asks; a flow is kept, and the admin gets a link that opens once
2. `journey.depart`    the link binds the flow to the admin's browser and leads to Microsoft
3. `journey.arrive`    Microsoft's answer is checked, the code redeemed once, the tokens kept
4. `endpoints`         a small page tells the person, the status endpoint tells the settings page
5. `custody`           from then on gives access tokens, and notices a consent that was lost
"""
