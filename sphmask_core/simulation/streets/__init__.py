# SPDX-License-Identifier: Apache-2.0
"""Streets, parking lots, yards and warehouses as LiDARs see them."""
